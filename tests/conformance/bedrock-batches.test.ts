/** Model invocation jobs with the official client of Bedrock's control plane, on the real desk, from objects to objects. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import {
  BedrockClient,
  CreateModelInvocationJobCommand,
  type CreateModelInvocationJobCommandInput,
  GetModelInvocationJobCommand,
  type GetModelInvocationJobCommandOutput,
  ListModelInvocationJobsCommand,
  StopModelInvocationJobCommand,
} from '@aws-sdk/client-bedrock'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { AWS_ENVIRONMENT, COMMAND_TIMEOUT_MS, hasCommand } from './aws-commands.ts'
import { type ComposedServer, startComposedServer } from './composed-server.ts'
import { FakeModel, type Script, sayNothing, sayWords } from './fake-model.ts'
import { rejection } from './openai-suite.ts'

const BUCKET = 's3://inferd-local'
const NEVER = new AbortController().signal
const HELLO: Script = sayWords(['Hello', ' there'])
const ROLE = 'arn:aws:iam::123456789012:role/batch'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-invocation-jobs-'))
const model = new FakeModel()
let server: ComposedServer
let control: BedrockClient

beforeAll(async () => {
  server = await startComposedServer('prices: {}', [model], { dataDir: folder })
  control = new BedrockClient({
    endpoint: server.url,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
  })
})

beforeEach(() => {
  model.script = HELLO
})

afterAll(async () => {
  control.destroy()
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function put(uri: string, text: string): Promise<void> {
  const { bucket, key } = server.objects!.locate(LOCAL_PRINCIPAL.team, uri)
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text)
  }
  await bucket.put(key, chunks(), { contentType: 'application/jsonl', maxBytes: 2 ** 30, ifAbsent: false }, NEVER)
}

async function read(uri: string): Promise<string> {
  const { bucket, key } = server.objects!.locate(LOCAL_PRINCIPAL.team, uri)
  return Buffer.concat(await Array.fromAsync(bucket.read(key, 0, NEVER))).toString()
}

async function keysBelow(prefix: string): Promise<string[]> {
  const { bucket } = server.objects!.locate(LOCAL_PRINCIPAL.team, BUCKET)
  return (await bucket.list(prefix, null, 100, NEVER)).map(({ key }) => key)
}

const jsonl = (records: readonly object[]): string => records.map((record) => `${JSON.stringify(record)}\n`).join('')
const converse = (text: string): object => ({ messages: [{ role: 'user', content: [{ text }] }] })
const record = (recordId: string): object => ({ recordId, modelInput: converse(`I am ${recordId}.`) })

type Order = Partial<CreateModelInvocationJobCommandInput> & { readonly from: string; readonly to: string }

async function create({ from, to, ...more }: Order): Promise<string> {
  const { jobArn } = await control.send(
    new CreateModelInvocationJobCommand({
      jobName: 'my-batch',
      roleArn: ROLE,
      modelId: 'fake/model',
      modelInvocationType: 'Converse',
      inputDataConfig: { s3InputDataConfig: { s3Uri: from } },
      outputDataConfig: { s3OutputDataConfig: { s3Uri: to } },
      ...more,
    }),
  )
  return jobArn ?? ''
}

const get = (jobIdentifier: string): Promise<GetModelInvocationJobCommandOutput> => control.send(new GetModelInvocationJobCommand({ jobIdentifier }))
const idOf = (arn: string): string => arn.split('/').at(-1) ?? ''

async function ended(arn: string): Promise<GetModelInvocationJobCommandOutput> {
  for (;;) {
    const job = await get(arn)
    if (job.endTime !== undefined) return job
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

interface OutputRecord {
  readonly recordId: string
  readonly modelInput: unknown
  readonly modelOutput?: { readonly output: { readonly message: { readonly content: readonly { readonly text: string }[] } } }
  readonly error?: { readonly errorCode: number; readonly errorMessage: string }
}

async function outputOf(uri: string): Promise<readonly OutputRecord[]> {
  return (await read(uri))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as OutputRecord)
}

test('a job runs from an object to an object and a manifest; what is wrong with a line is its own error', async () => {
  const lines = [
    JSON.stringify(record('CALL0000001')),
    '{"recordId": ',
    JSON.stringify({ modelInput: converse('without an id') }),
    JSON.stringify({ recordId: 'CALL0000004', modelInput: { messages: 7 } }),
    JSON.stringify({ recordId: 'CALL0000005' }),
  ]
  await put(`${BUCKET}/in/one.jsonl`, lines.join('\r\n'))
  const arn = await create({ from: `${BUCKET}/in/one.jsonl`, to: `${BUCKET}/out/` })
  expect(arn).toMatch(/^arn:aws:bedrock:local:000000000000:model-invocation-job\/[a-z0-9]{12}$/)
  const job = await ended(arn)
  expect(job).toMatchObject({
    jobArn: arn,
    jobName: 'my-batch',
    modelId: 'fake/model',
    roleArn: ROLE,
    status: 'Completed',
    modelInvocationType: 'Converse',
    timeoutDurationInHours: 24,
    totalRecordCount: 5,
    processedRecordCount: 5,
    successRecordCount: 2,
    errorRecordCount: 3,
    inputDataConfig: { s3InputDataConfig: { s3Uri: `${BUCKET}/in/one.jsonl` } },
  })
  expect(job.jobExpirationTime!.getTime() - job.submitTime!.getTime()).toBe(86_400_000)
  const output = await outputOf(`${BUCKET}/out/${idOf(arn)}/one.jsonl.out`)
  expect(output.map(({ recordId, error }) => [recordId, error?.errorCode])).toEqual([
    ['CALL0000001', undefined],
    [expect.stringMatching(/^[0-9a-f]{11}$/), 400],
    [expect.stringMatching(/^[0-9a-f]{11}$/), undefined],
    ['CALL0000004', 400],
    ['CALL0000005', 400],
  ])
  expect(output[0]).toMatchObject({
    modelInput: converse('I am CALL0000001.'),
    modelOutput: { output: { message: { content: [{ text: 'Hello there' }] } } },
  })
  expect(JSON.parse(await read(`${BUCKET}/out/${idOf(arn)}/manifest.json.out`))).toEqual({
    totalRecordCount: 5,
    processedRecordCount: 5,
    successRecordCount: 2,
    errorRecordCount: 3,
    inputTokenCount: 10,
    outputTokenCount: 4,
  })
  expect(await get(idOf(arn))).toMatchObject({ jobArn: arn })
})

test('all objects below a prefix, each to one of its own, in a native body of InvokeModel', async () => {
  const native = { anthropic_version: 'bedrock-2023-05-31', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] }
  for (const name of ['a', 'sub/b', 'c']) {
    await put(`${BUCKET}/many/${name}.jsonl`, jsonl(Array.from({ length: 3 }, (_, index) => ({ recordId: `${name}${index}`, modelInput: native }))))
  }
  await put(`${BUCKET}/many/readme.txt`, 'not a batch')
  const arn = await create({ from: `${BUCKET}/many/`, to: `${BUCKET}/native`, modelInvocationType: 'InvokeModel' })
  expect(await ended(arn)).toMatchObject({ status: 'Completed', totalRecordCount: 9, successRecordCount: 9 })
  const below = `native/${idOf(arn)}/`
  expect(await keysBelow(below)).toEqual(['a.jsonl.out', 'c.jsonl.out', 'manifest.json.out', 'sub/b.jsonl.out'].map((name) => below + name))
  const output = await outputOf(`${BUCKET}/${below}sub/b.jsonl.out`)
  expect(output.map(({ recordId }) => recordId)).toEqual(['sub/b0', 'sub/b1', 'sub/b2'])
  expect(output[0]?.modelOutput).toMatchObject({ type: 'message', content: [{ type: 'text', text: 'Hello there' }] })
})

test('a stopped job keeps what was done; to stop it again changes nothing', async () => {
  model.script = (asked, signal) => (JSON.stringify(asked).includes('I am r2.') ? HELLO(asked, signal) : sayNothing(asked, signal))
  await put(`${BUCKET}/in/stop.jsonl`, jsonl(Array.from({ length: 40 }, (_, index) => record(`r${index}`))))
  const arn = await create({ from: `${BUCKET}/in/stop.jsonl`, to: `${BUCKET}/stopped` })
  while ((await get(arn)).successRecordCount !== 1) await new Promise((resolve) => setTimeout(resolve, 20))
  await control.send(new StopModelInvocationJobCommand({ jobIdentifier: arn }))
  await control.send(new StopModelInvocationJobCommand({ jobIdentifier: idOf(arn) }))
  const job = await ended(arn)
  expect(job).toMatchObject({ status: 'Stopped', totalRecordCount: 40, processedRecordCount: 1, successRecordCount: 1, errorRecordCount: 0 })
  const output = await outputOf(`${BUCKET}/stopped/${idOf(arn)}/stop.jsonl.out`)
  expect(output.map(({ recordId }) => recordId)).toEqual(['r2'])
  await control.send(new StopModelInvocationJobCommand({ jobIdentifier: arn }))
  expect(await get(arn)).toMatchObject({ status: 'Stopped', endTime: job.endTime })
})

test.each([
  ['an empty object', '', /no requests/],
  ['blank lines alone', '\n\r\n', /no requests/],
])('%s fails the job', async (_name, text, message) => {
  await put(`${BUCKET}/in/empty.jsonl`, text)
  const arn = await create({ from: `${BUCKET}/in/empty.jsonl`, to: `${BUCKET}/out` })
  const job = await ended(arn)
  expect([job.status, job.message]).toEqual(['Failed', expect.stringMatching(message)])
  expect(await keysBelow(`out/${idOf(arn)}/`)).toEqual([])
})

test('an object that is another one when the job begins is not what was ordered', async () => {
  model.script = sayNothing
  const blockers: string[] = []
  // Two jobs of a team run at a time: the third waits.
  for (const name of ['x', 'y']) {
    await put(`${BUCKET}/in/${name}.jsonl`, jsonl([record(name)]))
    blockers.push(await create({ from: `${BUCKET}/in/${name}.jsonl`, to: `${BUCKET}/out` }))
  }
  while (model.numRunning < 2) await new Promise((resolve) => setTimeout(resolve, 10))
  await put(`${BUCKET}/in/changed.jsonl`, jsonl([record('before')]))
  const arn = await create({ from: `${BUCKET}/in/changed.jsonl`, to: `${BUCKET}/out` })
  expect((await get(arn)).status).toBe('Submitted')
  await put(`${BUCKET}/in/changed.jsonl`, jsonl([record('after'), record('wards')]))
  for (const jobIdentifier of blockers) await control.send(new StopModelInvocationJobCommand({ jobIdentifier }))
  expect(await ended(arn)).toMatchObject({ status: 'Failed', message: expect.stringContaining('as it was when the job was accepted') })
  for (const blocker of blockers) await ended(blocker)
})

test('jobs are listed by name, state and time, in pages', async () => {
  await put(`${BUCKET}/in/list.jsonl`, jsonl([record('a')]))
  const made: string[] = []
  for (const jobName of ['list-1', 'list-2', 'list-3']) made.push(await create({ from: `${BUCKET}/in/list.jsonl`, to: `${BUCKET}/out`, jobName }))
  for (const arn of made) await ended(arn)
  const list = (input: object): Promise<{ names: (string | undefined)[]; nextToken: string | undefined }> =>
    control
      .send(new ListModelInvocationJobsCommand(input))
      .then(({ invocationJobSummaries = [], nextToken }) => ({ names: invocationJobSummaries.map(({ jobName }) => jobName), nextToken }))
  expect((await list({ nameContains: 'list-' })).names).toEqual(['list-3', 'list-2', 'list-1'])
  expect((await list({ nameContains: 'list-', sortBy: 'CreationTime', sortOrder: 'Ascending' })).names).toEqual(['list-1', 'list-2', 'list-3'])
  const first = await list({ nameContains: 'list-', maxResults: 2 })
  expect(first.names).toEqual(['list-3', 'list-2'])
  expect(await list({ nameContains: 'list-', maxResults: 2, nextToken: first.nextToken })).toEqual({ names: ['list-1'], nextToken: undefined })
  expect((await list({ statusEquals: 'Stopped', nameContains: 'list-' })).names).toEqual([])
  expect((await list({ submitTimeAfter: new Date(Date.now() + 60_000) })).names).toEqual([])
})

test('one request token makes one job, and another order under it is refused', async () => {
  await put(`${BUCKET}/in/token.jsonl`, jsonl([record('a')]))
  const order = { from: `${BUCKET}/in/token.jsonl`, to: `${BUCKET}/out`, clientRequestToken: 'once' }
  const [first, second] = await Promise.all([create(order), create(order)])
  expect(second).toBe(first)
  expect(await rejection(create({ ...order, jobName: 'another' }))).toMatchObject({ name: 'ConflictException' })
})

test.each([
  ['no such object', { from: `${BUCKET}/in/nothing.jsonl` }],
  ['no such bucket', { from: 's3://somebody-else/in.jsonl' }],
  ['no location', { from: 'https://example.com/in.jsonl' }],
  ['no bucket to write to', { to: 's3://somebody-else/out' }],
  ['a time that is too short', { timeoutDurationInHours: 1 }],
  ['a network of its own', { vpcConfig: { subnetIds: ['s'], securityGroupIds: ['g'] } }],
  ['tags', { tags: [{ key: 'a', value: 'b' }] }],
  ['another name', { jobName: 'ä' }],
])('%s: refused', async (_name, change) => {
  await put(`${BUCKET}/in/good.jsonl`, jsonl([record('a')]))
  const error = await rejection(create({ from: `${BUCKET}/in/good.jsonl`, to: `${BUCKET}/out`, ...change }))
  expect(error).toMatchObject({ name: 'ValidationException', $metadata: { httpStatusCode: 400 } })
})

test.runIf(hasCommand('python3', '-c', 'import boto3'))(
  'boto3 orders, follows, lists and stops',
  async () => {
    await put(`${BUCKET}/in/python.jsonl`, jsonl([record('a'), { recordId: 'b' }]))
    const script = path.join(import.meta.dirname, 'python/bedrock_batches.py')
    const args = [script, server.url, `${BUCKET}/in/python.jsonl`, `${BUCKET}/python`]
    const { stdout } = await promisify(execFile)('python3', args, { env: AWS_ENVIRONMENT, timeout: COMMAND_TIMEOUT_MS })
    const seen = JSON.parse(stdout) as { readonly arn: string }
    expect(seen).toMatchObject({
      status: 'Completed',
      counts: [2, 2, 1, 1],
      hours: 24,
      has_end: true,
      listed: [seen.arn],
      refused: 'ValidationException',
    })
  },
  COMMAND_TIMEOUT_MS,
)

test('a job that is not there', async () => {
  expect(await rejection(get('abcdefghijkl'))).toMatchObject({ name: 'ResourceNotFoundException' })
  expect(await rejection(control.send(new StopModelInvocationJobCommand({ jobIdentifier: 'abcdefghijkl' })))).toMatchObject({
    name: 'ResourceNotFoundException',
  })
})
