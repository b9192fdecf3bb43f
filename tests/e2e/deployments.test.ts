/** Endpoints by the clients of AWS on a real server with the shipped models: their life, rollouts under load, crashes, and what is refused. */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  CreateEndpointCommand,
  CreateEndpointConfigCommand,
  CreateModelCommand,
  DeleteEndpointCommand,
  DeleteEndpointConfigCommand,
  DeleteModelCommand,
  DescribeEndpointCommand,
  DescribeEndpointConfigCommand,
  DescribeModelCommand,
  ListEndpointConfigsCommand,
  ListEndpointsCommand,
  ListModelsCommand,
  UpdateEndpointCommand,
  UpdateEndpointWeightsAndCapacitiesCommand,
  waitUntilEndpointDeleted,
  waitUntilEndpointInService,
  type DeploymentConfig,
  type DescribeEndpointCommandOutput,
} from '@aws-sdk/client-sagemaker'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ask, awsClients, makeConfig, makeEndpoint, makeModel, ROLE, WAIT, type AwsClients } from './aws-clients.ts'
import { InferdProcess } from './inferd-process.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-deployments-'))
const config = path.join(folder, 'inferd.yaml')
let server: InferdProcess
let aws: AwsClients

beforeAll(async () => {
  writeFileSync(
    config,
    `models: [{ name: inferd-chat, path: models/inferd-chat/inferd-chat-Q8_0.gguf, kvCacheMib: 16 }]
modelMemory: { budgetMib: 1400 }
prices: { inferd-chat: { input: 1, output: 2 } }
alarms:
  - { name: never, metric: error_rate, threshold: 0.5, minSamples: 3 }
  - { name: always, metric: ttft_p95_ms, threshold: 0, minSamples: 3 }
`,
  )
  server = await start()
  aws = awsClients(server.baseUrl)
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function start(): Promise<InferdProcess> {
  return (await InferdProcess.start('--log-level', 'warn', '--data-dir', path.join(folder, 'data'), '--config', config)).ready()
}

function describe(name: string): Promise<DescribeEndpointCommandOutput> {
  return aws.control.send(new DescribeEndpointCommand({ EndpointName: name }))
}

function linear({ alarms = [], bakeS = 0 }: { readonly alarms?: readonly string[]; readonly bakeS?: number } = {}): DeploymentConfig {
  return {
    BlueGreenUpdatePolicy: {
      TrafficRoutingConfiguration: { Type: 'LINEAR', LinearStepSize: { Type: 'CAPACITY_PERCENT', Value: 40 }, WaitIntervalInSeconds: 1 },
      TerminationWaitInSeconds: bakeS,
    },
    AutoRollbackConfiguration: { Alarms: alarms.map((AlarmName) => ({ AlarmName })) },
  }
}

async function update(name: string, to: string, deployment: DeploymentConfig): Promise<void> {
  await aws.control.send(new UpdateEndpointCommand({ EndpointName: name, EndpointConfigName: to, DeploymentConfig: deployment }))
}

/** Calls until the endpoint is in service again. Every call must be answered. */
async function callWhileItChanges(name: string): Promise<number> {
  let numAnswers = 0
  for (let isChanging = true; isChanging;) {
    await Promise.all(Array.from({ length: 3 }, () => ask(aws, name)))
    numAnswers += 3
    isChanging = (await describe(name)).EndpointStatus !== 'InService'
  }
  return numAnswers
}

/** What is left is the worker of the configuration, and the process that reads the headers of files. */
function expectNoUnits(): void {
  expect(server.workerPids().length).toBeLessThanOrEqual(2)
}

async function gone(name: string): Promise<void> {
  await aws.control.send(new DeleteEndpointCommand({ EndpointName: name }))
  await waitUntilEndpointDeleted({ client: aws.control, ...WAIT }, { EndpointName: name })
}

async function refusal(work: Promise<unknown>): Promise<{ readonly name: string; readonly message: string }> {
  return work.then(
    () => ({ name: 'none', message: '' }),
    (error: Error) => ({ name: error.name, message: error.message }),
  )
}

test('an endpoint answers by its name in every dialect and by its variants, is billed as its model, and is gone when it is deleted', async () => {
  await makeModel(aws, 'first')
  await makeConfig(aws, 'first-c', { model: 'first', name: 'a', weight: 3 }, { model: 'first', name: 'b', weight: 1 })
  await makeEndpoint(aws, 'first', 'first-c')
  const answers = await Promise.all(Array.from({ length: 24 }, () => ask(aws, 'first')))
  expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(['The capital of France is Paris.']))
  expect(new Set(answers.map(({ variant }) => variant))).toEqual(new Set(['a', 'b']))
  expect((await ask(aws, 'first', { TargetVariant: 'b' })).variant).toBe('b')
  const chat = await server.post('/v1/chat/completions', { model: 'first', max_tokens: 4, messages: [{ role: 'user', content: 'Hi' }] })
  expect(chat.status).toBe(200)
  expect(Number(chat.headers.get('x-inferd-cost-usd'))).toBeGreaterThan(0)
  const { data } = (await (await fetch(`${server.baseUrl}/v1/models`)).json()) as { data: { id: string }[] }
  expect(data.map(({ id }) => id)).toEqual(['inferd-chat', 'first', 'first/a', 'first/b'])
  const unit = await server.post('/v1/chat/completions', { model: 'first/a@1', messages: [{ role: 'user', content: 'Hi' }] })
  expect(unit.status).toBe(404)
  const { ProductionVariants } = await describe('first')
  expect(
    ProductionVariants?.map(({ VariantName, CurrentWeight, CurrentInstanceCount }) => [VariantName, CurrentWeight, CurrentInstanceCount]),
  ).toEqual([
    ['a', 3, 1],
    ['b', 1, 1],
  ])
  await gone('first')
  expect(await refusal(ask(aws, 'first'))).toMatchObject({ name: 'ValidationError' })
  expectNoUnits()
})

test('replicas come and go while answers stream, and no call fails', async () => {
  await makeModel(aws, 'scaled')
  await makeConfig(aws, 'scaled-c', { model: 'scaled', count: 2 })
  await makeEndpoint(aws, 'scaled', 'scaled-c')
  const change = (DesiredInstanceCount: number): Promise<unknown> =>
    aws.control.send(
      new UpdateEndpointWeightsAndCapacitiesCommand({
        EndpointName: 'scaled',
        DesiredWeightsAndCapacities: [{ VariantName: 'main', DesiredInstanceCount }],
      }),
    )
  const calls = Array.from({ length: 12 }, () => ask(aws, 'scaled', { tokens: 200 }))
  await change(1)
  await Promise.all(calls)
  const more = Array.from({ length: 12 }, () => ask(aws, 'scaled', { tokens: 200 }))
  await change(3)
  await Promise.all(more)
  await waitFor(async () => (await describe('scaled')).ProductionVariants?.[0]?.CurrentInstanceCount === 3)
  expect(await refusal(change(40))).toMatchObject({
    name: 'ValidationException',
    message: expect.stringMatching(/37 more replicas of 'scaled\/main@1' need \d+ bytes; there are \d+/),
  })
  expect((await describe('scaled')).ProductionVariants?.[0]?.DesiredInstanceCount).toBe(3)
  await gone('scaled')
})

test('a rollout under load loses no call; one whose alarm goes off is rolled back and says why', async () => {
  await makeModel(aws, 'roll')
  await makeConfig(aws, 'roll-1', { model: 'roll' })
  await makeConfig(aws, 'roll-2', { model: 'roll' })
  await makeEndpoint(aws, 'roll', 'roll-1')
  await update('roll', 'roll-2', linear({ alarms: ['never'] }))
  expect(await callWhileItChanges('roll')).toBeGreaterThan(3)
  expect(await describe('roll')).toMatchObject({ EndpointConfigName: 'roll-2', EndpointStatus: 'InService' })
  await update('roll', 'roll-1', linear({ alarms: ['always'], bakeS: 60 }))
  expect(await refusal(update('roll', 'roll-1', linear()))).toMatchObject({ name: 'ValidationException' })
  await callWhileItChanges('roll')
  const after = await describe('roll')
  expect(after).toMatchObject({ EndpointConfigName: 'roll-2', EndpointStatus: 'InService' })
  expect(after.FailureReason).toMatch(/the alarm 'always' went off: ttft_p95_ms is [\d.]+ over \d+ calls, more than 0/)
  expect(after.LastDeploymentConfig?.BlueGreenUpdatePolicy?.TerminationWaitInSeconds).toBe(60)
  await gone('roll')
})

test('a rolling update replaces replicas one by one, and every call of that time is answered', async () => {
  await makeModel(aws, 'batches')
  await makeConfig(aws, 'batches-1', { model: 'batches', count: 2 })
  await makeConfig(aws, 'batches-2', { model: 'batches' })
  await makeEndpoint(aws, 'batches', 'batches-1')
  const policy = { MaximumBatchSize: { Type: 'INSTANCE_COUNT', Value: 1 }, WaitIntervalInSeconds: 0 } as const
  const deployment = { DeploymentConfig: { RollingUpdatePolicy: policy }, RetainAllVariantProperties: true }
  await aws.control.send(new UpdateEndpointCommand({ EndpointName: 'batches', EndpointConfigName: 'batches-2', ...deployment }))
  expect(await callWhileItChanges('batches')).toBeGreaterThan(0)
  const { EndpointConfigName, ProductionVariants, FailureReason } = await describe('batches')
  expect([EndpointConfigName, FailureReason, ProductionVariants?.[0]?.CurrentInstanceCount]).toEqual(['batches-2', undefined, 2])
  await gone('batches')
})

test('a server that is killed in the midst of a rollout comes to its end, and answers by the name from its first call on', async () => {
  await makeModel(aws, 'crash')
  await makeConfig(aws, 'crash-1', { model: 'crash' })
  await makeConfig(aws, 'crash-2', { model: 'crash', name: 'main' })
  await makeEndpoint(aws, 'crash', 'crash-1')
  await update('crash', 'crash-2', linear({ bakeS: 2 }))
  await waitFor(async () => (await describe('crash')).PendingDeploymentSummary !== undefined)
  await sleep(1200)
  server.child.kill('SIGKILL')
  await server.exited()
  server = await start()
  aws = awsClients(server.baseUrl)
  expect((await ask(aws, 'crash')).text).toBe('The capital of France is Paris.')
  await callWhileItChanges('crash')
  expect(await describe('crash')).toMatchObject({ EndpointConfigName: 'crash-2', EndpointStatus: 'InService' })
  await gone('crash')
  expectNoUnits()
})

test('a model that lies in a bucket is copied and served; what is no model fails the endpoint with the reason', async () => {
  const bucket = path.join(folder, 'data/objects/inferd-local/models')
  mkdirSync(bucket, { recursive: true })
  copyFileSync('models/inferd-draft/inferd-draft-Q8_0.gguf', path.join(bucket, 'draft.gguf'))
  writeFileSync(path.join(bucket, 'broken.gguf'), 'GGUF and nothing more')
  for (const name of ['draft', 'broken', 'absent']) {
    const container = { Image: 'inferd', ModelDataUrl: `s3://inferd-local/models/${name}.gguf` }
    await aws.control.send(new CreateModelCommand({ ModelName: name, ExecutionRoleArn: ROLE, PrimaryContainer: container }))
    await makeConfig(aws, name, { model: name })
    await aws.control.send(new CreateEndpointCommand({ EndpointName: name, EndpointConfigName: name }))
  }
  await waitUntilEndpointInService({ client: aws.control, ...WAIT }, { EndpointName: 'draft' })
  expect((await ask(aws, 'draft')).variant).toBe('main')
  await waitFor(async () => (await describe('broken')).EndpointStatus === 'Failed' && (await describe('absent')).EndpointStatus === 'Failed')
  expect((await describe('absent')).FailureReason).toBe('there is no model at s3://inferd-local/models/absent.gguf')
  expect((await describe('broken')).FailureReason).toMatch(/GGUF|file|bytes/i)
  const copies = path.join(folder, 'data/models')
  await waitFor(async () => readdirSync(copies).length === 1)
  for (const name of ['draft', 'broken', 'absent']) await gone(name)
  await waitFor(async () => readdirSync(copies).length === 0)
})

test('a shadow gets copies of the calls: callers get and pay for the answers of the others, and its own are told to the operator', async () => {
  await makeModel(aws, 'shaded')
  const variant = (VariantName: string, InitialVariantWeight: number): object => ({
    VariantName,
    ModelName: 'shaded',
    InstanceType: 'ml.m5.large',
    InitialInstanceCount: 1,
    InitialVariantWeight,
  })
  const variants = { ProductionVariants: [variant('main', 1)], ShadowProductionVariants: [variant('dark', 100)] }
  await aws.control.send(new CreateEndpointConfigCommand({ EndpointConfigName: 'shaded-c', ...(variants as object) } as never))
  await makeEndpoint(aws, 'shaded', 'shaded-c')
  const answers = await Promise.all(Array.from({ length: 5 }, () => ask(aws, 'shaded')))
  expect(new Set(answers.map(({ variant: answered }) => answered))).toEqual(new Set(['main']))
  const figures = async (): Promise<string> => (await fetch(`${server.baseUrl}/metrics`)).text()
  await waitFor(async () => (await figures()).includes('inferd_shadow_calls_total{model="shaded/dark@1",outcome="answered"} 5'))
  const { data } = (await (await fetch(`${server.baseUrl}/inferd/v1/usage?group_by=team,model`)).json()) as { data: Record<string, unknown>[] }
  const rows = data.filter(({ model }) => String(model).startsWith('shaded/'))
  expect(rows).toHaveLength(2)
  expect(rows.find(({ team }) => team === 'inferd-shadow')).toMatchObject({ model: 'shaded/dark@1', requests: 5, errors: 0, cost_usd: '0' })
  expect(rows.find(({ team }) => team !== 'inferd-shadow')).toMatchObject({ model: 'shaded/main@1', requests: 5 })
  await gone('shaded')
})

test('what was created is shown as it was sent, listed in pages, and deleted only when nothing uses it', async () => {
  await makeModel(aws, 'shown')
  await makeConfig(aws, 'shown-1', { model: 'shown' })
  await makeConfig(aws, 'shown-2', { model: 'shown' })
  const model = await aws.control.send(new DescribeModelCommand({ ModelName: 'shown' }))
  expect(model.PrimaryContainer).toEqual({ Image: 'inferd', Environment: { HF_MODEL_ID: 'inferd-chat', INFERD_KV_CACHE_MIB: '16' } })
  const shown = await aws.control.send(new DescribeEndpointConfigCommand({ EndpointConfigName: 'shown-1' }))
  expect(shown.ProductionVariants).toMatchObject([{ VariantName: 'main', ModelName: 'shown', InstanceType: 'ml.m5.large', InitialInstanceCount: 1 }])
  const first = await aws.control.send(
    new ListEndpointConfigsCommand({ NameContains: 'shown', MaxResults: 1, SortBy: 'Name', SortOrder: 'Ascending' }),
  )
  const second = await aws.control.send(
    new ListEndpointConfigsCommand({ NameContains: 'shown', MaxResults: 1, SortBy: 'Name', SortOrder: 'Ascending', NextToken: first.NextToken }),
  )
  expect([...first.EndpointConfigs!, ...second.EndpointConfigs!].map(({ EndpointConfigName }) => EndpointConfigName)).toEqual(['shown-1', 'shown-2'])
  expect(second.NextToken).toBeUndefined()
  expect(await refusal(aws.control.send(new DeleteModelCommand({ ModelName: 'shown' })))).toMatchObject({ name: 'ValidationException' })
  await makeEndpoint(aws, 'shown', 'shown-1')
  expect(
    (await aws.control.send(new ListEndpointsCommand({ StatusEquals: 'InService' }))).Endpoints?.map(({ EndpointName }) => EndpointName),
  ).toEqual(['shown'])
  expect(await refusal(aws.control.send(new DeleteEndpointConfigCommand({ EndpointConfigName: 'shown-1' })))).toMatchObject({
    name: 'ValidationException',
  })
  await gone('shown')
  for (const name of ['shown-1', 'shown-2']) await aws.control.send(new DeleteEndpointConfigCommand({ EndpointConfigName: name }))
  await aws.control.send(new DeleteModelCommand({ ModelName: 'shown' }))
  expect((await aws.control.send(new ListModelsCommand({ NameContains: 'shown' }))).Models).toEqual([])
})

test.each([
  [
    'a name that is taken',
    'CreateEndpoint',
    { EndpointName: 'inferd-chat', EndpointConfigName: 'bad-c' },
    'ValidationException',
    /belongs to a model or a route/,
  ],
  [
    'a configuration that is not there',
    'CreateEndpoint',
    { EndpointName: 'x', EndpointConfigName: 'nowhere' },
    'ValidationException',
    /Could not find endpoint configuration/,
  ],
  [
    'an endpoint that is not there',
    'DescribeEndpoint',
    { EndpointName: 'nowhere' },
    'ValidationException',
    /Could not find endpoint "arn:aws:sagemaker/,
  ],
  ['a name that is none', 'CreateEndpoint', { EndpointName: '../x', EndpointConfigName: 'bad-c' }, 'ValidationException', /regular expression/],
  ['no variants', 'CreateEndpointConfig', { EndpointConfigName: 'y', ProductionVariants: [] }, 'ValidationException', /at least one variant/],
  [
    'two variants of one name',
    'CreateEndpointConfig',
    {
      EndpointConfigName: 'y',
      ProductionVariants: [
        { VariantName: 'v', ModelName: 'bad' },
        { VariantName: 'v', ModelName: 'bad' },
      ],
    },
    'ValidationException',
    /two variants have the name 'v'/,
  ],
  [
    'weights of nothing',
    'CreateEndpointConfig',
    { EndpointConfigName: 'y', ProductionVariants: [{ VariantName: 'v', ModelName: 'bad', InitialVariantWeight: 0 }] },
    'ValidationException',
    /one of them more/,
  ],
  [
    'capture of data to nowhere',
    'CreateEndpointConfig',
    { EndpointConfigName: 'y', DataCaptureConfig: {}, ProductionVariants: [] },
    'ValidationException',
    /destinationS3Uri/,
  ],
  [
    'a model that is not there',
    'CreateEndpointConfig',
    { EndpointConfigName: 'y', ProductionVariants: [{ VariantName: 'v', ModelName: 'nowhere' }] },
    'ValidationException',
    /Could not find model/,
  ],
  ['a container without a model', 'CreateModel', { ModelName: 'z', PrimaryContainer: { Image: 'i' } }, 'ValidationException', /HF_MODEL_ID/],
  [
    'a served model that is not there',
    'CreateModel',
    { ModelName: 'z', PrimaryContainer: { Environment: { HF_MODEL_ID: 'nowhere' } } },
    'ValidationException',
    /this server has no model 'nowhere'/,
  ],
  [
    'a model from elsewhere',
    'CreateModel',
    { ModelName: 'z', PrimaryContainer: { ModelDataUrl: 'https://example.com/m.gguf' } },
    'ValidationException',
    /must be s3/,
  ],
  [
    'an archive',
    'CreateModel',
    { ModelName: 'z', PrimaryContainer: { ModelDataUrl: 's3://inferd-local/m.tar.gz' } },
    'ValidationException',
    /archives are not read/,
  ],
  [
    'another team’s bucket',
    'CreateModel',
    { ModelName: 'z', PrimaryContainer: { ModelDataUrl: 's3://inferd-other/m.gguf' } },
    'ResourceNotFound',
    /bucket/,
  ],
  ['a member that is not known', 'DeleteEndpoint', { EndpointName: 'x', Force: true }, 'ValidationException', /Force is not known/],
  ['an operation that is not offered', 'CreateAlgorithm', {}, 'ValidationError', /CreateAlgorithm/],
] as const)('%s is refused: %s', async (_what, operation, body, type, words) => {
  if (!(await ask(aws, 'inferd-chat')).text) expect.unreachable()
  await makeModel(aws, 'bad').catch(() => {})
  await makeConfig(aws, 'bad-c', { model: 'bad' }).catch(() => {})
  const response = await fetch(server.baseUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `SageMaker.${operation}` },
    body: JSON.stringify(body),
  })
  expect(response.status).toBe(400)
  const told = (await response.json()) as { readonly __type?: string; readonly message?: string; readonly Message?: string }
  expect(told.message ?? told.Message).toMatch(words)
  expect(told.__type ?? 'ValidationError').toBe(type)
})

async function waitFor(attempt: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await attempt()) return
    await sleep(50)
  }
  expect.unreachable('it did not come to that')
}
