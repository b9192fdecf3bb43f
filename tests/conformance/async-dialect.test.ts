/** The words of asynchronous invocations, by the official client and without one: what an order says, and what no order may say. */
import {
  InvokeEndpointAsyncCommand,
  type InvokeEndpointAsyncCommandInput,
  SageMakerRuntimeClient,
  type SageMakerRuntimeServiceException,
  ValidationError,
} from '@aws-sdk/client-sagemaker-runtime'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { NO_SERVICES } from '#server/services'
import { FakeInvocations, INVOCATION } from './fake-invocations.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const invocations = new FakeInvocations()
let target: TestServer
let client: SageMakerRuntimeClient

beforeAll(async () => {
  target = await startTestServer({ services: { ...NO_SERVICES, invocations } })
  client = new SageMakerRuntimeClient({
    endpoint: target.url,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
  })
})

beforeEach(() => {
  invocations.orders.length = 0
  invocations.refusal = null
})

afterAll(async () => {
  client.destroy()
  await target.server.close({ graceMs: 0 })
})

function invoke(more: Partial<InvokeEndpointAsyncCommandInput> = {}) {
  return client.send(new InvokeEndpointAsyncCommand({ EndpointName: 'fake-model', InputLocation: 's3://in/7.json', ...more }))
}

async function failureOf(work: Promise<unknown>): Promise<SageMakerRuntimeServiceException> {
  return work.then(
    () => expect.unreachable('it was accepted'),
    (error: unknown) => error as SageMakerRuntimeServiceException,
  )
}

test('the client is told where the result will be, and the order is what it said', async () => {
  const answer = await invoke({
    ContentType: 'application/json',
    Accept: 'application/json',
    CustomAttributes: 'trace=1',
    InferenceId: 'order-7',
    RequestTTLSeconds: 60,
    InvocationTimeoutSeconds: 5,
    Filename: 'seven.json',
    S3OutputPathExtension: '/a/b/',
  })
  expect(answer).toMatchObject({
    $metadata: { httpStatusCode: 202 },
    InferenceId: 'order-7',
    OutputLocation: 's3://out/inv-1.out',
    FailureLocation: 's3://out/inv-1.error',
  })
  expect(invocations.orders[0]!.order).toMatchObject({
    endpoint: 'fake-model',
    input: { kind: 'object', uri: 's3://in/7.json' },
    contentType: 'application/json',
    headers: {
      'x-amzn-sagemaker-accept': 'application/json',
      'x-amzn-sagemaker-custom-attributes': 'trace=1',
      'x-amzn-sagemaker-inference-id': 'order-7',
    },
    inferenceId: 'order-7',
    outputFolder: 'a/b',
    outputName: 'seven.json',
    startWithinMs: 60_000,
    timeoutMs: 5_000,
  })
})

test('what is not said has the defaults of SageMaker', async () => {
  await invoke()
  expect(invocations.orders[0]!.order).toMatchObject({
    contentType: 'application/json',
    inferenceId: null,
    outputFolder: null,
    outputName: null,
    startWithinMs: 21_600_000,
    timeoutMs: 900_000,
  })
})

test('a small payload may come along instead of a location', async () => {
  await client.send(new InvokeEndpointAsyncCommand({ EndpointName: 'fake-model', Body: Buffer.from('{"inputs":"x"}') }))
  expect(invocations.orders[0]!).toMatchObject({ order: { input: { kind: 'payload', maxBytes: 128_000 } }, payload: '{"inputs":"x"}' })
  const large = client.send(new InvokeEndpointAsyncCommand({ EndpointName: 'fake-model', Body: Buffer.alloc(128_001) }))
  expect(await failureOf(large)).toMatchObject({ name: 'ValidationError', $metadata: { httpStatusCode: 413 } })
})

const BAD_ORDERS: readonly (readonly [string, Partial<InvokeEndpointAsyncCommandInput>, string])[] = [
  ['no input at all', { InputLocation: undefined }, 'InputLocation'],
  ['two inputs', { Body: Buffer.from('x') }, 'InputLocation'],
  ['a path of this machine', { InputLocation: '/etc/passwd' }, 'inputlocation'],
  ['a file URL', { InputLocation: 'file:///etc/passwd' }, 'inputlocation'],
  ['a URL that would have to be fetched', { InputLocation: 'https://169.254.169.254/latest/meta-data' }, 'inputlocation'],
  ['a location that is too long', { InputLocation: `s3://in/${'x'.repeat(1024)}` }, 'inputlocation'],
  ['an endpoint that is not there', { EndpointName: 'nobody' }, 'does not exist'],
  ['a time to live that is too short', { RequestTTLSeconds: 59 }, 'requestttlseconds'],
  ['a time to live that is too long', { RequestTTLSeconds: 21_601 }, 'requestttlseconds'],
  ['half a second', { InvocationTimeoutSeconds: 0.5 }, 'invocationtimeoutseconds'],
  ['a time-out beyond the hour', { InvocationTimeoutSeconds: 3601 }, 'invocationtimeoutseconds'],
  ['an inference id of 65 characters', { InferenceId: 'x'.repeat(65) }, 'inference-id'],
  ['attributes outside of ASCII', { CustomAttributes: 'é' }, 'custom-attributes'],
  ['a file name with a folder', { Filename: 'a/b' }, 'filename'],
  ['a file name of dots', { Filename: '..' }, 'filename'],
  ['a file name with two extensions', { Filename: 'a.b.c' }, 'filename'],
  ['a folder that leads out', { S3OutputPathExtension: 'a/../../b' }, 's3outputpathextension'],
  ['a folder that is another bucket', { S3OutputPathExtension: 's3://other/x' }, 's3outputpathextension'],
  ['a folder that is none', { S3OutputPathExtension: '///' }, 's3outputpathextension'],
  ['an answer in CSV', { Accept: 'text/csv' }, 'accept'],
]

test.each(BAD_ORDERS)('what is wrong with an order is told at once, as a ValidationError: %s', async (_name, more, words) => {
  const error = await failureOf(invoke(more))
  expect(error).toBeInstanceOf(ValidationError)
  expect(error.message).toContain(words)
  expect(error.$metadata.httpStatusCode).toBe(400)
  expect(invocations.orders).toEqual([])
})

test.each([
  ['conflict', 400, 'ValidationError'],
  ['resource_not_found', 400, 'ValidationError'],
  ['payload_too_large', 413, 'ValidationError'],
  ['overloaded', 503, 'ServiceUnavailable'],
  ['store_failed', 530, 'InternalDependencyException'],
] as const)('a refusal of the platform has a class that the client knows: %s', async (code, status, name) => {
  invocations.refusal = new InferdError(code, 'in words')
  expect(await failureOf(invoke())).toMatchObject({ name, $metadata: { httpStatusCode: status } })
})

test('our own form streams its body, keeps its content type, and says where to look', async () => {
  const answer = await fetch(`${target.url}/endpoints/fake-model/async`, {
    method: 'POST',
    headers: { 'content-type': 'text/csv; header=absent', 'x-amzn-sagemaker-inference-id': 'order-7', 'x-inferd-tier': 'flex' },
    body: '1,2\n',
  })
  expect([answer.status, answer.headers.get('location'), answer.headers.get('x-amzn-sagemaker-outputlocation')]).toEqual([
    202,
    '/async/inv-1',
    's3://out/inv-1.out',
  ])
  expect(await answer.json()).toMatchObject({ object: 'async_invocation', id: 'inv-1', state: 'queued' })
  const [{ order, payload }] = invocations.orders as [(typeof invocations.orders)[0]]
  expect(payload).toBe('1,2\n')
  expect(order).toMatchObject({ contentType: 'text/csv; header=absent', input: { maxBytes: null }, inferenceId: 'order-7' })
  expect(order.headers).toEqual({ accept: '*/*', 'x-amzn-sagemaker-inference-id': 'order-7', 'x-inferd-tier': 'flex' })
})

test.each<[string, Record<string, string>]>([
  ['a content type that is none', { 'content-type': 'csv' }],
  ['a location besides the body', { 'x-amzn-sagemaker-inputlocation': 's3://in/7' }],
  ['a tier that is none', { 'x-inferd-tier': 'first' }],
  ['a body that is compressed', { 'content-encoding': 'gzip' }],
])('our own form is refused for %s', async (_name, headers) => {
  const answer = await fetch(`${target.url}/endpoints/fake-model/async`, { method: 'POST', headers, body: 'x' })
  expect([400, 415]).toContain(answer.status)
  expect(invocations.orders).toEqual([])
})

test('an invocation is shown, taken back in two ways, and followed to its end', async () => {
  const shown = await fetch(`${target.url}/async/inv-1`)
  expect(await shown.json()).toEqual({
    object: 'async_invocation',
    id: 'inv-1',
    inference_id: 'order-7',
    endpoint: 'fake-model',
    state: 'queued',
    attempt: 0,
    counts: { total: 1, succeeded: 0, failed: 0 },
    input_location: 's3://in/7.json',
    output_location: 's3://out/inv-1.out',
    failure_location: 's3://out/inv-1.error',
    created_at: '2023-11-14T22:13:20.000Z',
    started_at: null,
    ended_at: null,
    start_by: '2023-11-14T22:14:20.000Z',
    cancel_requested_at: null,
    error: null,
  })
  for (const [method, path] of [
    ['DELETE', '/async/inv-1'],
    ['POST', '/async/inv-1/cancel'],
  ] as const) {
    expect(await (await fetch(target.url + path, { method })).json()).toMatchObject({ state: 'cancelled', counts: { failed: 1 } })
  }
  invocations.changes = [INVOCATION, null, { ...INVOCATION, state: 'running', attempt: 1 }, { ...INVOCATION, state: 'succeeded', endedMs: 1 }]
  const events = await fetch(`${target.url}/async/inv-1/events`)
  expect(events.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  const frames = (await events.text()).split('\n\n').filter((frame) => frame !== '')
  expect(frames.map((frame) => frame.split('\n')[0])).toEqual(['event: queued', ': keep-alive', 'event: running', 'event: succeeded'])
  expect(JSON.parse(frames[3]!.split('\ndata: ')[1]!)).toMatchObject({ id: 'inv-1', counts: { succeeded: 1 } })
})

test('an invocation that is not there is not there, in every verb', async () => {
  for (const [method, path] of [
    ['GET', '/async/inv-2'],
    ['GET', '/async/inv-2/events'],
    ['DELETE', '/async/inv-2'],
    ['POST', '/async/inv-2/cancel'],
  ] as const) {
    const answer = await fetch(target.url + path, { method })
    expect([answer.status, ((await answer.json()) as { error: { code: string } }).error.code]).toEqual([404, 'resource_not_found'])
  }
})
