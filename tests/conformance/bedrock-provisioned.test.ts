/** Provisioned throughput by the official clients: bought, called by ARN and by name, spilling over, renamed, tagged, given back. */
import {
  BedrockClient,
  CreateProvisionedModelThroughputCommand,
  DeleteProvisionedModelThroughputCommand,
  GetProvisionedModelThroughputCommand,
  ListFoundationModelsCommand,
  ListProvisionedModelThroughputsCommand,
  ListTagsForResourceCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateProvisionedModelThroughputCommand,
} from '@aws-sdk/client-bedrock'
import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime'
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { WirePlan } from '../../src/cli/plan-text.ts'
import { AWS_ENVIRONMENT, COMMAND_TIMEOUT_MS, hasCommand } from './aws-commands.ts'
import { type ComposedServer, startComposedServer } from './composed-server.ts'
import { FakeModel } from './fake-model.ts'

const YAML = `
prices:
  chat: { input: 1000000, output: 1000000, modelUnit: { perHour: 36, oneMonth: 18 } }
provisioned:
  chat: { maxUnits: 5, inputTokensPerMinute: 1000, outputTokensPerMinute: 600 }
routes:
  - { name: alias-of-chat, models: [{ model: chat, weight: 1 }] }
`
const model = new FakeModel({ name: 'chat' })
let server: ComposedServer
let control: BedrockClient
let runtime: BedrockRuntimeClient

beforeAll(async () => {
  server = await startComposedServer(YAML, [model, new FakeModel({ name: 'other' })], { areLocal: true })
  const options = { endpoint: server.url, region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' }, maxAttempts: 1 }
  control = new BedrockClient(options)
  runtime = new BedrockRuntimeClient(options)
})

afterAll(async () => {
  control.destroy()
  runtime.destroy()
  await server[Symbol.asyncDispose]()
})

async function buy(words: {
  readonly name: string
  readonly units?: number
  readonly model?: string
  readonly commitment?: 'OneMonth'
}): Promise<string> {
  const { provisionedModelArn } = await control.send(
    new CreateProvisionedModelThroughputCommand({
      provisionedModelName: words.name,
      modelId: words.model ?? 'chat',
      modelUnits: words.units ?? 1,
      ...(words.commitment === undefined ? {} : { commitmentDuration: words.commitment }),
    }),
  )
  return provisionedModelArn!
}

const giveBack = (provisionedModelId: string) => control.send(new DeleteProvisionedModelThroughputCommand({ provisionedModelId }))

async function converse(modelId: string, maxTokens = 100): Promise<string | undefined> {
  const answer = await runtime.send(
    new ConverseCommand({
      modelId,
      messages: [{ role: 'user', content: [{ text: 'hello' }] }],
      inferenceConfig: { maxTokens },
      serviceTier: { type: 'default' },
    }),
  )
  return answer.serviceTier?.type
}

test('is bought, shown, listed and given back', async () => {
  const arn = await buy({ name: 'team-chat', units: 2, model: 'arn:aws:bedrock:us-east-1::foundation-model/alias-of-chat' })
  expect(arn).toMatch(/^arn:aws:bedrock:local:0{12}:provisioned-model\/[a-z0-9]{12}$/)
  const shown = await control.send(new GetProvisionedModelThroughputCommand({ provisionedModelId: arn }))
  expect(shown).toMatchObject({
    provisionedModelName: 'team-chat',
    provisionedModelArn: arn,
    modelArn: 'arn:aws:bedrock:local::foundation-model/chat',
    modelUnits: 2,
    status: 'InService',
  })
  const listOf = async (words: object): Promise<readonly (string | undefined)[]> => {
    const { provisionedModelSummaries } = await control.send(new ListProvisionedModelThroughputsCommand(words))
    return (provisionedModelSummaries ?? []).map(({ provisionedModelName }) => provisionedModelName)
  }
  // A list is in order of time, which has milliseconds.
  await new Promise((resolve) => setTimeout(resolve, 5))
  await buy({ name: 'second' })
  expect(await listOf({})).toEqual(['second', 'team-chat'])
  expect(await listOf({ sortOrder: 'Ascending', maxResults: 1 })).toEqual(['team-chat'])
  expect(await listOf({ nameContains: 'sec', modelArnEquals: shown.modelArn, statusEquals: 'InService' })).toEqual(['second'])
  expect(await listOf({ statusEquals: 'Creating' })).toEqual([])
  await giveBack('second')
  await giveBack(arn)
  await expect(giveBack(arn)).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
  expect(await listOf({})).toEqual([])
})

test('within it a call is of the tier reserved and costs nothing; beyond it, it spills to on demand and is paid for', async () => {
  const arn = await buy({ name: 'metered' })
  const before = await server.ledger('chat')
  const { script } = model
  const go = Promise.withResolvers<void>()
  model.script = async function* (request, signal) {
    await go.promise
    yield* script(request, signal)
  }
  // 600 output tokens a minute: as long as three calls run, each is expected to take 250.
  const calls = [converse(arn, 250), converse('metered', 250), converse(arn, 250)]
  await vi.waitFor(() => expect(model.numRunning).toBe(3))
  go.resolve()
  expect((await Promise.all(calls)).toSorted()).toEqual(['default', 'reserved', 'reserved'])
  expect(
    model.requests
      .slice(-3)
      .map(({ lane }) => lane ?? 'shared')
      .toSorted(),
  ).toEqual(['reserved', 'reserved', 'shared'])
  model.script = script
  const after = await server.ledger('chat')
  expect(after.requests - before.requests).toBe(3)
  const tokensOfOne = (after.inputTokens + after.outputTokens - before.inputTokens - before.outputTokens) / 3
  expect(Number(after.costUsd) - Number(before.costUsd)).toBeCloseTo(tokensOfOne, 6)
  expect(await converse('chat')).toBe('default')
  const text = await (await fetch(`${server.url}/metrics`)).text()
  expect(text).toContain('inferd_provisioned_calls_total{throughput="metered",model="chat",outcome="within"} 2')
  expect(text).toContain('inferd_provisioned_calls_total{throughput="metered",model="chat",outcome="spilled"} 1')
  await giveBack(arn)
  await expect(converse(arn)).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
})

test('every dialect calls it by its name, or asks for it by tier', async () => {
  const arn = await buy({ name: 'for-all' })
  const openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 })
  const ask = async (words: { readonly model: string; readonly service_tier?: 'scale' | 'default' }) =>
    (await openai.chat.completions.create({ messages: [{ role: 'user', content: 'hi' }], max_tokens: 8, ...words })).service_tier
  expect(await ask({ model: 'for-all', service_tier: 'default' })).toBe('scale')
  expect(await ask({ model: 'chat', service_tier: 'scale' })).toBe('scale')
  expect(await ask({ model: 'other', service_tier: 'scale' })).toBe('default')
  expect((await openai.models.list()).data.map(({ id }) => id).toSorted()).toEqual(['alias-of-chat', 'chat', 'for-all', 'other'])
  const reserved = await runtime.send(
    new ConverseCommand({ modelId: 'chat', messages: [{ role: 'user', content: [{ text: 'hi' }] }], serviceTier: { type: 'reserved' } }),
  )
  expect(reserved.serviceTier?.type).toBe('reserved')
  await giveBack(arn)
})

test('it is renamed, and its old name is gone', async () => {
  const arn = await buy({ name: 'old-name' })
  await control.send(new UpdateProvisionedModelThroughputCommand({ provisionedModelId: 'old-name', desiredProvisionedModelName: 'new-name' }))
  expect(await converse('new-name')).toBe('reserved')
  expect(await converse(arn)).toBe('reserved')
  await expect(converse('old-name')).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
  const other = new UpdateProvisionedModelThroughputCommand({ provisionedModelId: arn, desiredModelId: 'other' })
  await expect(control.send(other)).rejects.toMatchObject({
    name: 'ValidationException',
    message: expect.stringContaining('desiredModelId') as string,
  })
  await giveBack(arn)
})

test('its tags are kept', async () => {
  const arn = await buy({ name: 'tagged' })
  await control.send(
    new TagResourceCommand({
      resourceARN: arn,
      tags: [
        { key: 'cost', value: 'blue' },
        { key: 'b', value: '' },
      ],
    }),
  )
  await control.send(new UntagResourceCommand({ resourceARN: arn, tagKeys: ['b'] }))
  expect((await control.send(new ListTagsForResourceCommand({ resourceARN: arn }))).tags).toEqual([{ key: 'cost', value: 'blue' }])
  await giveBack(arn)
})

test('an order with the same token is made once', async () => {
  const order = { provisionedModelName: 'once', modelId: 'chat', modelUnits: 1, clientRequestToken: 'token-1' }
  const first = await control.send(new CreateProvisionedModelThroughputCommand(order))
  expect((await control.send(new CreateProvisionedModelThroughputCommand(order))).provisionedModelArn).toBe(first.provisionedModelArn)
  const other = new CreateProvisionedModelThroughputCommand({ ...order, modelUnits: 2 })
  await expect(control.send(other)).rejects.toMatchObject({ name: 'ConflictException' })
  await giveBack('once')
})

test('what is committed to is not given back before its end', async () => {
  const arn = await buy({ name: 'committed', commitment: 'OneMonth' })
  const { commitmentDuration, commitmentExpirationTime, creationTime } = await control.send(
    new GetProvisionedModelThroughputCommand({ provisionedModelId: arn }),
  )
  expect(commitmentDuration).toBe('OneMonth')
  const days = (commitmentExpirationTime!.getTime() - creationTime!.getTime()) / 86_400_000
  expect(days).toBeGreaterThanOrEqual(28)
  expect(days).toBeLessThanOrEqual(31)
  await expect(giveBack(arn)).rejects.toMatchObject({ name: 'ConflictException' })
})

test('parallel orders are never sold more than there is', async () => {
  const outcomes = await Promise.allSettled(Array.from({ length: 6 }, (_, index) => buy({ name: `rush-${index}`, units: 2 })))
  // One unit is committed for a month by the test before.
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
  const refused = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult
  expect(refused.reason).toMatchObject({ name: 'ServiceQuotaExceededException', message: expect.stringContaining('0 of 5 are left') as string })
  for (const [index, { status }] of outcomes.entries()) if (status === 'fulfilled') await giveBack(`rush-${index}`)
})

test('models of which units are sold say so', async () => {
  const { modelSummaries } = await control.send(new ListFoundationModelsCommand({ byInferenceType: 'PROVISIONED' as 'ON_DEMAND' }))
  expect(modelSummaries?.map(({ modelId, inferenceTypesSupported }) => [modelId, inferenceTypesSupported])).toEqual([
    ['chat', ['ON_DEMAND', 'PROVISIONED']],
  ])
})

test.each<[string, object, string, string]>([
  ['a model that is not sold', { modelId: 'other' }, 'ValidationException', 'modelId'],
  ['a model that is not there', { modelId: 'nobody' }, 'ValidationException', 'modelId'],
  ['no units', { modelUnits: 0 }, 'ValidationException', 'modelUnits'],
  ['a name with two dashes', { provisionedModelName: 'a--b' }, 'ValidationException', 'provisionedModelName'],
  ['the name of a model', { provisionedModelName: 'other' }, 'ConflictException', 'provisionedModelName'],
  ['the name of a route', { provisionedModelName: 'alias-of-chat' }, 'ConflictException', 'provisionedModelName'],
  ['a commitment of a year', { commitmentDuration: 'OneYear' }, 'ValidationException', 'commitmentDuration'],
  ['too many units', { modelUnits: 100 }, 'ServiceQuotaExceededException', 'modelUnits'],
])('refuses %s', async (_, words, name, place) => {
  const order = { provisionedModelName: 'fine', modelId: 'chat', modelUnits: 1, ...words } as never
  await expect(control.send(new CreateProvisionedModelThroughputCommand(order))).rejects.toMatchObject({
    name,
    message: expect.stringContaining(place) as string,
  })
})

test('a plan answers from the ledger what each way of buying costs', async () => {
  const { data } = (await (await fetch(`${server.url}/inferd/v1/plan?model=chat`)).json()) as { readonly data: readonly WirePlan[] }
  const [{ modes, cheapest, doubts, break_evens: breakEvens }] = data as [WirePlan]
  expect(modes.map(({ mode, commitment = 'none' }) => `${mode} ${commitment}`).toSorted()).toEqual([
    'batch none',
    'on-demand none',
    'provisioned none',
    'provisioned one-month',
    'serverless none',
  ])
  expect(modes.at(-1)).toMatchObject({ mode: 'serverless', usd_per_month: null, missing: 'prices.chat.perHour' })
  expect(cheapest?.mode).toMatch(/provisioned|on-demand/)
  expect(breakEvens).toMatchObject([{ cheaper_below: 'on-demand', cheaper_above: 'provisioned', measure: 'tokens_per_month' }])
  expect(doubts[0]).toContain('requests were measured')
  const refused = await fetch(`${server.url}/inferd/v1/plan?from=2020-01-01`)
  expect([refused.status, ((await refused.json()) as { error: { param: string } }).error.param]).toEqual([400, 'from'])
})

test.runIf(hasCommand('python3', '-c', 'import boto3'))(
  'boto3 buys, calls, renames, lists and gives back',
  async () => {
    const program = path.join(import.meta.dirname, 'python/bedrock_provisioned.py')
    const { stdout } = await promisify(execFile)('python3', [program, server.url], { env: AWS_ENVIRONMENT, timeout: COMMAND_TIMEOUT_MS })
    expect(JSON.parse(stdout)).toEqual({
      status: 'InService',
      units: 2,
      created: true,
      tier: 'reserved',
      names: ['renamed'],
      tags: [{ key: 'cost', value: 'blue' }],
      taken: 'ConflictException',
      too_many: 'ServiceQuotaExceededException',
      gone: 'ResourceNotFoundException',
    })
  },
  COMMAND_TIMEOUT_MS,
)

test('a server is not started with units of a model that it cannot promise', async () => {
  await expect(startComposedServer(YAML, [new FakeModel({ name: 'chat' })])).rejects.toMatchObject({
    code: 'invalid_parameter',
    message: expect.stringContaining('provisioned.chat') as string,
  })
})
