/** Asynchronous invocations end to end by the official client: through the jobs, the objects and the whole online path, over a scripted model. */
import { execFile } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import {
  InvokeEndpointAsyncCommand,
  type InvokeEndpointAsyncCommandInput,
  type InvokeEndpointAsyncCommandOutput,
  SageMakerRuntimeClient,
} from '@aws-sdk/client-sagemaker-runtime'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { FolderBucket } from '#platform/objects/folder-bucket'
import { systemDisk } from '#platform/objects/disk'
import { AWS_ENVIRONMENT, COMMAND_TIMEOUT_MS, hasCommand } from './aws-commands.ts'
import { type ComposedServer, startComposedServer } from './composed-server.ts'
import { FakeModel, sayWords } from './fake-model.ts'

const SIGNAL = new AbortController().signal
const CHAT = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] })
const run = promisify(execFile)
const PYTHON_CLIENT = path.join(import.meta.dirname, 'python/sagemaker_async.py')
const SECRET = 'hook-secret'

interface View {
  readonly id: string
  readonly state: string
  readonly attempt: number
  readonly error: { readonly code: string; readonly message: string } | null
  readonly output_location: string
}

interface Received {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
  readonly message: { readonly invocationStatus: string; readonly inferenceId: string; readonly failureReason?: string }
}

let dataDir: string
let target: ComposedServer
let client: SageMakerRuntimeClient
let receiver: Server
const model = new FakeModel()
const received: Received[] = []
/** Statuses of the receiver's next answers; then 200. */
const statuses: number[] = []

beforeAll(async () => {
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const { Message } = JSON.parse(body) as { readonly Message: string }
      received.push({ headers: request.headers, body, message: JSON.parse(Message) as Received['message'] })
      response.writeHead(statuses.shift() ?? 200).end()
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => receiver.once('listening', resolve))
  const { port } = receiver.address() as AddressInfo
  process.env['INFERD_TEST_HOOK_SECRET'] = SECRET
  dataDir = await mkdtemp(path.join(tmpdir(), 'inferd-async-'))
  const yaml = `
egress: { hosts: [{ host: 127.0.0.1, allowPrivate: true }] }
asyncInference:
  topics: [{ name: hook, url: 'http://127.0.0.1:${port}/hook', secret: 'env:INFERD_TEST_HOOK_SECRET' }]
  successTopics: [hook]
  errorTopics: [hook]
  includeResponseIn: [success]
jobs: { maxAttempts: 2 }
`
  target = await startComposedServer(yaml, [model], { dataDir })
  client = new SageMakerRuntimeClient({
    endpoint: target.url,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
  })
})

beforeEach(() => {
  model.script = sayWords(['Hello', ' fox'])
  model.requests.length = 0
  received.length = 0
  statuses.length = 0
})

afterEach(() => expect(model.numRunning).toBe(0))

afterAll(async () => {
  client.destroy()
  await target[Symbol.asyncDispose]()
  receiver.close()
  await rm(dataDir, { recursive: true, force: true })
})

/** The bucket that the team of a server without keys has, opened beside the server. */
function bucket(): FolderBucket {
  return new FolderBucket({ disk: systemDisk, name: 'inferd-local', base: dataDir, inside: ['objects', 'inferd-local'], onDamage: () => {} })
}

async function store(key: string, text: string): Promise<string> {
  const chunks = (async function* () {
    yield Buffer.from(text)
  })()
  await bucket().put(key, chunks, { contentType: 'application/json', maxBytes: 1e6, ifAbsent: false }, SIGNAL)
  return `s3://inferd-local/${key}`
}

/** null = there is no such object. */
async function load(uri: string | undefined): Promise<unknown> {
  const key = uri!.replace('s3://inferd-local/', '')
  if ((await bucket().head(key, SIGNAL)) === null) return null
  const chunks: Uint8Array[] = []
  for await (const chunk of bucket().read(key, 0, SIGNAL)) chunks.push(chunk)
  return JSON.parse(Buffer.concat(chunks).toString())
}

function invoke(more: Partial<InvokeEndpointAsyncCommandInput>): Promise<InvokeEndpointAsyncCommandOutput> {
  return client.send(new InvokeEndpointAsyncCommand({ EndpointName: 'fake-model', ContentType: 'application/json', ...more }))
}

async function submit(body: string, headers: Readonly<Record<string, string>> = {}): Promise<View> {
  const answer = await fetch(`${target.url}/endpoints/fake-model/async`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  })
  expect(answer.status).toBe(202)
  return (await answer.json()) as View
}

/** As the events tell it. */
async function ended(id: string): Promise<View> {
  const events = await (await fetch(`${target.url}/async/${id}/events`)).text()
  const last = events.trim().split('\n\n').at(-1)!
  return JSON.parse(last.slice(last.indexOf('data: ') + 6)) as View
}

/** What the receiver was told of one invocation, once it was. */
async function told(inferenceId: string | undefined): Promise<Received['message']> {
  const find = (): Received | undefined => received.find(({ message }) => message.inferenceId === inferenceId)
  await until(() => find() !== undefined)
  return find()!.message
}

async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { timeout: 20_000, interval: 20 }).toBe(true)
}

test('the client names an object, and finds the answer of the model where it was told that it would be', async () => {
  const InputLocation = await store('in/chat.json', CHAT)
  const answer = await invoke({ InputLocation, InferenceId: 'order-1', CustomAttributes: 'a=1' })
  expect(answer).toMatchObject({ InferenceId: 'order-1', $metadata: { httpStatusCode: 202 } })
  await told('order-1')
  expect(await load(answer.OutputLocation)).toMatchObject({ object: 'chat.completion', choices: [{ message: { content: 'Hello fox' } }] })
  expect(await load(answer.FailureLocation)).toBeNull()
  await target.ledger('fake/model')
  expect(await target.labels()).toContainEqual(expect.objectContaining({ 'sagemaker:inference-id': 'order-1' }))
})

test('the receiver is told in the shape of SNS, with a signature that it can check and the small response itself', async () => {
  await submit(CHAT, { 'x-amzn-sagemaker-inference-id': 'order-2' })
  await told('order-2')
  const { headers, body, message } = received.find((each) => each.message.inferenceId === 'order-2')!
  expect(message).toMatchObject({ invocationStatus: 'Completed', inferenceId: 'order-2' })
  const [, seconds, signature] = /^t=(\d+),v1=([0-9a-f]+)$/.exec(headers['x-inferd-signature'] as string)!
  expect(createHmac('sha256', SECRET).update(`${seconds}.${body}`).digest('hex')).toBe(signature)
  const { content } = (message as unknown as { readonly responseBody: { readonly content: string } }).responseBody
  expect(JSON.parse(Buffer.from(content, 'base64').toString())).toMatchObject({ object: 'chat.completion' })
})

test('a receiver that fails is asked again with the same event; the invocation has ended long before', async () => {
  statuses.push(500, 302)
  const { id } = await submit(CHAT)
  expect(await ended(id)).toMatchObject({ state: 'succeeded' })
  const ofThis = (): readonly Received[] => received.filter(({ message }) => message.inferenceId === id)
  await until(() => ofThis().length >= 3)
  expect(new Set(ofThis().map(({ headers }) => headers['x-amz-sns-message-id'])).size).toBe(1)
})

test('a body that the model refuses is a failure object with its words', async () => {
  const view = await submit(JSON.stringify({ inputs: 'x', oops: 1 }))
  const end = await ended(view.id)
  expect(end).toMatchObject({ state: 'failed', attempt: 1, error: { code: 'invalid_parameter', message: expect.stringContaining('oops') as string } })
  expect(await load(end.output_location.replace('.out', '.error'))).toMatchObject({ InferenceId: view.id, ErrorCode: 'invalid_parameter' })
  expect(await load(end.output_location)).toBeNull()
  expect(await told(view.id)).toMatchObject({ invocationStatus: 'Failed', failureReason: expect.stringContaining('oops') as string })
})

test('a record that breaks its worker every time fails after its attempts, and its neighbours do not', async () => {
  model.script = async function* (request, signal) {
    const isPoison = request.input.kind === 'text' && request.input.text === 'poison'
    if (isPoison) throw new InferdError('replica_lost', 'the worker died')
    yield* sayWords(['fine'])(request, signal)
  }
  const poison = await submit('{"inputs":"poison"}')
  const neighbours = await Promise.all(Array.from({ length: 6 }, (_, index) => submit(`{"inputs":"${index}"}`)))
  for (const { id } of neighbours) expect(await ended(id)).toMatchObject({ state: 'succeeded' })
  const end = await ended(poison.id)
  expect(end).toMatchObject({ state: 'failed', error: { code: 'replica_lost' } })
  expect(await load(end.output_location.replace('.out', '.error'))).toMatchObject({
    ErrorCode: 'replica_lost',
    Message: expect.stringContaining('the worker died') as string,
  })
})

test('an endpoint that is full is waited for: nothing is lost and nothing fails', async () => {
  let numRefusals = 3
  model.script = async function* (request, signal) {
    if (numRefusals-- > 0) throw new InferdError('overloaded', 'the queue is full', { retryAfterMs: 1000 })
    yield* sayWords(['fine'])(request, signal)
  }
  const { id } = await submit('{"inputs":"x"}')
  expect(await ended(id)).toMatchObject({ state: 'succeeded', attempt: 1 })
})

test('one that runs is cancelled: the model stops, there is no output, and a second cancel changes nothing', async () => {
  model.script = sayWords(['a', 'b'], { waitMs: 600_000 })
  const { id } = await submit(CHAT)
  await until(() => model.numRunning === 1)
  const cancelled = (await (await fetch(`${target.url}/async/${id}`, { method: 'DELETE' })).json()) as Record<string, unknown>
  expect(cancelled['cancel_requested_at']).not.toBeNull()
  const end = await ended(id)
  expect(end).toMatchObject({ state: 'cancelled', error: { code: 'cancelled' } })
  expect(model.aborts.length).toBeGreaterThan(0)
  expect(await load(end.output_location)).toBeNull()
  expect(await load(end.output_location.replace('.out', '.error'))).toMatchObject({ ErrorCode: 'cancelled' })
  const again = await fetch(`${target.url}/async/${id}/cancel`, { method: 'POST' })
  expect(await again.json()).toEqual(await (await fetch(`${target.url}/async/${id}`)).json())
})

test('one that waits is cancelled without ever being run, and one that has ended stays as it is', async () => {
  model.script = sayWords(['a', 'b'], { waitMs: 600_000 })
  const running = await Promise.all(Array.from({ length: 4 }, () => submit(CHAT)))
  await until(() => model.numRunning === 4)
  const waiting = await submit(CHAT)
  expect(waiting.state).toBe('queued')
  await fetch(`${target.url}/async/${waiting.id}/cancel`, { method: 'POST' })
  expect(await ended(waiting.id)).toMatchObject({ state: 'cancelled' })
  for (const { id } of running) await fetch(`${target.url}/async/${id}`, { method: 'DELETE' })
  for (const { id } of running) expect(await ended(id)).toMatchObject({ state: 'cancelled' })
  expect(model.requests).toHaveLength(4)
  model.script = sayWords(['done'])
  const done = await submit(CHAT)
  expect(await ended(done.id)).toMatchObject({ state: 'succeeded' })
  expect(await (await fetch(`${target.url}/async/${done.id}`, { method: 'DELETE' })).json()).toMatchObject({ state: 'succeeded' })
})

test('a follower that leaves is forgotten, and another one sees the end', async () => {
  model.script = sayWords(['a', 'b'], { waitMs: 600_000 })
  const { id } = await submit(CHAT)
  await until(() => model.numRunning === 1)
  const leaving = new AbortController()
  const events = await fetch(`${target.url}/async/${id}/events`, { signal: leaving.signal })
  const reader = events.body!.getReader()
  expect(Buffer.from((await reader.read()).value!).toString()).toContain('event: running')
  leaving.abort()
  await expect(reader.read()).rejects.toThrow()
  const end = ended(id)
  await fetch(`${target.url}/async/${id}`, { method: 'DELETE' })
  expect(await end).toMatchObject({ state: 'cancelled' })
})

test('a call beyond its time-out is cancelled and is a failure object', async () => {
  model.script = sayWords(['a', 'b'], { waitMs: 600_000 })
  const { id } = await submit(CHAT, { 'x-amzn-sagemaker-invocationtimeoutseconds': '1' })
  const end = await ended(id)
  expect(end).toMatchObject({ state: 'failed', attempt: 1, error: { code: 'deadline_exceeded', message: 'the invocation took longer than 1 s' } })
  expect(await load(end.output_location.replace('.out', '.error'))).toMatchObject({ ErrorCode: 'deadline_exceeded' })
})

test('an inference id given twice is one invocation, and a conflict with another body', async () => {
  const headers = { 'x-amzn-sagemaker-inference-id': 'order-9' }
  const first = await submit(CHAT, headers)
  await ended(first.id)
  expect((await submit(CHAT, headers)).id).toBe(first.id)
  const other = await fetch(`${target.url}/endpoints/fake-model/async`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: '{"inputs":"other"}',
  })
  expect([other.status, other.headers.get('x-amzn-errortype')]).toEqual([400, 'ValidationError'])
  expect(model.requests).toHaveLength(1)
})

test('113: an output of a name that is taken is not written over', async () => {
  await store('async/output/taken.json', '"mine"')
  const answer = await invoke({ InputLocation: await store('in/chat.json', CHAT), Filename: 'taken.json' })
  expect(answer.OutputLocation).toBe('s3://inferd-local/async/output/taken.json')
  expect(await told(answer.InferenceId)).toMatchObject({
    invocationStatus: 'Failed',
    failureReason: expect.stringContaining('already an object') as string,
  })
  expect(await load(answer.OutputLocation)).toBe('mine')
  expect(await load(answer.FailureLocation)).toMatchObject({ ErrorCode: 'conflict' })
})

test('an input that is not there is a failure object; a bucket that is another team’s is refused at once', async () => {
  const answer = await invoke({ InputLocation: 's3://inferd-local/in/none.json' })
  await told(answer.InferenceId)
  expect(await load(answer.FailureLocation)).toMatchObject({ ErrorCode: 'resource_not_found' })
  await expect(invoke({ InputLocation: 's3://inferd-red/in/none.json' })).rejects.toMatchObject({ name: 'ValidationError' })
})

test.runIf(hasCommand('python3', '-c', 'import boto3'))(
  'boto3 is told where the result will be, reads it there, and knows the class of a refusal',
  async () => {
    const location = await store('in/chat.json', CHAT)
    const { stdout } = await run('python3', [PYTHON_CLIENT, target.url, location], { env: AWS_ENVIRONMENT, timeout: COMMAND_TIMEOUT_MS })
    const seen = JSON.parse(stdout) as { readonly answer: Record<string, string>; readonly status: number; readonly refused: string }
    expect(seen).toMatchObject({ status: 202, refused: 'ValidationError', answer: { InferenceId: 'python-1' } })
    await told('python-1')
    expect(await load(seen.answer['OutputLocation'])).toMatchObject({ object: 'chat.completion' })
    expect(seen.answer['FailureLocation']).toMatch(/^s3:.*\.error$/)
  },
  COMMAND_TIMEOUT_MS,
)

test.runIf(hasCommand('aws', '--version'))(
  'the aws CLI is told where the result will be',
  async () => {
    const location = await store('in/chat.json', CHAT)
    const order = ['--endpoint-name', 'fake-model', '--input-location', location, '--inference-id', 'cli-1', '--invocation-timeout-seconds', '60']
    const { stdout } = await run('aws', ['sagemaker-runtime', 'invoke-endpoint-async', '--endpoint-url', target.url, '--output', 'json', ...order], {
      env: AWS_ENVIRONMENT,
      timeout: COMMAND_TIMEOUT_MS,
    })
    const { OutputLocation } = JSON.parse(stdout) as { readonly OutputLocation: string }
    await told('cli-1')
    expect(await load(OutputLocation)).toMatchObject({ object: 'chat.completion' })
  },
  COMMAND_TIMEOUT_MS,
)

test('the figures of the backlog and of what has ended are told per endpoint', async () => {
  model.script = sayWords(['a', 'b'], { waitMs: 600_000 })
  const all = await Promise.all(Array.from({ length: 6 }, () => submit(CHAT)))
  await until(() => model.numRunning === 4)
  const page = await (await fetch(`${target.url}/metrics`)).text()
  expect(page).toContain('inferd_async_backlog{endpoint="fake-model"} 2')
  expect(page).toMatch(/inferd_async_oldest_seconds\{endpoint="fake-model"\} \d/)
  expect(page).toContain('inferd_async_running{endpoint="fake-model"} 4')
  expect(page).toMatch(/inferd_async_invocations_total\{endpoint="fake-model",outcome="succeeded"\} \d/)
  expect(page).toMatch(/inferd_async_notifications_total\{topic="hook",outcome="delivered"\} \d/)
  for (const { id } of all) await fetch(`${target.url}/async/${id}`, { method: 'DELETE' })
  for (const { id } of all) await ended(id)
  expect(await (await fetch(`${target.url}/metrics`)).text()).toContain('inferd_async_running{endpoint="fake-model"} 0')
})
