/** The official SageMaker Runtime client, unchanged, against a scripted model. */
import {
  InvokeEndpointAsyncCommand,
  InvokeEndpointCommand,
  type InvokeEndpointCommandInput,
  InvokeEndpointWithResponseStreamCommand,
  InternalFailure,
  InternalStreamFailure,
  ModelError,
  ModelNotReadyException,
  ModelStreamError,
  SageMakerRuntimeClient,
  type SageMakerRuntimeServiceException,
  ServiceUnavailable,
  ValidationError,
} from '@aws-sdk/client-sagemaker-runtime'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type ErrorCode, ERRORS, InferdError } from '#contract/errors'
import { type FakeModel, play, sayNothing, sayWords } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const TEXT = 'Hello wörld 🦊'
const CHAT = { messages: [{ role: 'user', content: 'hi' }] }
const GENERATE = { inputs: 'Once', parameters: { max_new_tokens: 20 } }

let target: TestServer
let client: SageMakerRuntimeClient
let model: FakeModel

beforeAll(async () => {
  target = await startTestServer()
  client = clientOf(target.url, 1)
  model = target.model
})

beforeEach(() => {
  model.script = sayWords(['Hello', ' ', 'wörld', ' 🦊'])
  model.requests.length = 0
})

afterAll(async () => {
  client.destroy()
  await target.server.close({ graceMs: 0 })
})

function clientOf(endpoint: string, maxAttempts: number): SageMakerRuntimeClient {
  return new SageMakerRuntimeClient({
    endpoint,
    region: 'us-east-1',
    maxAttempts,
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
  })
}

function inputOf(body: unknown, more: Partial<InvokeEndpointCommandInput> = {}): InvokeEndpointCommandInput {
  return { EndpointName: 'fake-model', ContentType: 'application/json', Body: Buffer.from(JSON.stringify(body)), ...more }
}

async function invoke(body: unknown, more: Partial<InvokeEndpointCommandInput> = {}): Promise<{ readonly json: unknown; readonly text: string }> {
  const { Body } = await client.send(new InvokeEndpointCommand(inputOf(body, more)))
  const text = Buffer.from(Body ?? []).toString()
  return { text, json: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : null }
}

/** The bytes of all parts. */
async function streamText(body: unknown): Promise<string> {
  const { Body } = await client.send(new InvokeEndpointWithResponseStreamCommand(inputOf(body)))
  let text = ''
  for await (const event of Body ?? []) text += Buffer.from(event.PayloadPart?.Bytes ?? []).toString()
  return text
}

function framesOf(sse: string): Record<string, unknown>[] {
  return sse
    .split('\n\n')
    .filter((frame) => frame.startsWith('data: ') && frame !== 'data: [DONE]')
    .map((frame) => JSON.parse(frame.slice(6)) as Record<string, unknown>)
}

async function failureOf(work: Promise<unknown>): Promise<SageMakerRuntimeServiceException> {
  return work.then(
    () => expect.unreachable('it succeeded'),
    (error: unknown) => error as SageMakerRuntimeServiceException,
  )
}

test('text generation: one object for each text', async () => {
  expect((await invoke(GENERATE)).json).toEqual([{ generated_text: TEXT }])
  expect(model.requests[0]).toMatchObject({ input: { kind: 'text', text: 'Once' }, maxTokens: 20, sampling: { temperature: 0 } })
  expect((await invoke({ inputs: ['a', 'b'] })).json).toEqual([{ generated_text: TEXT }, { generated_text: TEXT }])
  expect((await invoke({ inputs: 'Once ', parameters: { return_full_text: true } })).json).toEqual([{ generated_text: `Once ${TEXT}` }])
})

test('details: tokens, their number, why it ended', async () => {
  const { json } = await invoke({ inputs: 'x', parameters: { details: true, top_n_tokens: 2, seed: 7, do_sample: true } })
  expect(json).toMatchObject([
    {
      generated_text: TEXT,
      details: {
        finish_reason: 'eos_token',
        generated_tokens: 4,
        seed: 7,
        prefill: [],
        tokens: [{ id: 0, text: 'Hello', logprob: -0.5, special: false }, {}, {}, {}],
      },
    },
  ])
  expect((json as { details: { top_tokens: unknown[][] } }[])[0]!.details.top_tokens.map((row) => row.length)).toEqual([2, 2, 2, 2])
})

test('chat bodies are those of OpenAI, and the endpoint names the model', async () => {
  expect((await invoke(CHAT)).json).toMatchObject({ object: 'chat.completion', model: 'fake/model', choices: [{ message: { content: TEXT } }] })
  expect((await invoke({ ...CHAT, model: 'fake/model' })).json).toMatchObject({ model: 'fake/model' })
  expect(await failureOf(invoke({ ...CHAT, model: 'other' }))).toMatchObject({ name: 'ModelError', OriginalStatusCode: 400 })
})

test('embedding bodies are those of OpenAI', async () => {
  expect((await invoke({ input: ['a', 'b'] })).json).toMatchObject({ object: 'list', data: [{ index: 0 }, { index: 1 }] })
})

test('streams arrive as payload parts: server-sent events of chat and of text generation, or a whole body', async () => {
  const chat = await streamText({ ...CHAT, stream: true })
  expect(chat.endsWith('data: [DONE]\n\n')).toBe(true)
  const said = framesOf(chat).map(({ choices }) => (choices as { delta: { content?: string } }[])[0]?.delta.content ?? '')
  expect(said.join('')).toBe(TEXT)
  const frames = framesOf(await streamText({ ...GENERATE, stream: true }))
  expect(frames.map(({ token }) => (token as { text: string }).text).join('')).toBe(TEXT)
  expect(frames.at(-1)).toMatchObject({
    index: 5,
    generated_text: TEXT,
    details: { finish_reason: 'eos_token', generated_tokens: 4, input_length: 7 },
  })
  expect(JSON.parse(await streamText(CHAT))).toMatchObject({ object: 'chat.completion' })
  // Without parts the same stream is the body.
  expect((await invoke({ ...CHAT, stream: true })).text.endsWith('data: [DONE]\n\n')).toBe(true)
})

test('the answer says who answered and repeats the caller’s attributes', async () => {
  const answer = await client.send(
    new InvokeEndpointCommand(
      inputOf(CHAT, { CustomAttributes: 'trace=1;a=b', InferenceId: 'i 1', SessionId: 'NEW_SESSION', TargetVariant: 'AllTraffic' }),
    ),
  )
  expect(answer).toMatchObject({
    InvokedProductionVariant: 'fake-model',
    CustomAttributes: 'trace=1;a=b',
    ContentType: expect.stringMatching(/^application\/json/),
  })
  expect(answer.NewSessionId).toMatch(/^[a-zA-Z0-9](-*[a-zA-Z0-9])*;\sExpires=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/)
  const streamed = await client.send(new InvokeEndpointWithResponseStreamCommand(inputOf({ ...CHAT, stream: true }, { CustomAttributes: 'a' })))
  expect(streamed).toMatchObject({ ContentType: 'text/event-stream; charset=utf-8', InvokedProductionVariant: 'fake-model', CustomAttributes: 'a' })
  for await (const _ of streamed.Body ?? []) continue
})

test('component, target model and variant choose the model before the endpoint does', async () => {
  for (const more of [{ InferenceComponentName: 'fake-model' }, { TargetModel: 'fake/model.tar.gz' }, { TargetVariant: 'fake-model' }]) {
    expect((await invoke(CHAT, { EndpointName: 'none', ...more })).json).toMatchObject({ model: 'fake/model' })
  }
})

const BAD_BODIES: readonly (readonly [string, unknown])[] = [
  ['no kind of body', { parameters: {} }],
  ['two kinds of bodies', { ...CHAT, ...GENERATE }],
  ['empty inputs', { inputs: '' }],
  ['inputs of a wrong type', { inputs: [1] }],
  ['no inputs in a list', { inputs: [] }],
  ['unknown field', { ...GENERATE, oops: 1 }],
  ['unknown parameter', { inputs: 'x', parameters: { oops: 1 } }],
  ['temperature out of range', { inputs: 'x', parameters: { temperature: 7 } }],
  ['max_new_tokens of 0', { inputs: 'x', parameters: { max_new_tokens: 0 } }],
  ['max_new_tokens as text', { inputs: 'x', parameters: { max_new_tokens: '10' } }],
  ['a negative seed', { inputs: 'x', parameters: { seed: -1 } }],
  ['an empty stop', { inputs: 'x', parameters: { stop: [''] } }],
  ['a stop that is no list', { inputs: 'x', parameters: { stop: 'a' } }],
  ['too many top tokens', { inputs: 'x', parameters: { top_n_tokens: 1000 } }],
  ['details beyond what is held', { inputs: Array.from({ length: 64 }, () => 'x'), parameters: { details: true, top_n_tokens: 20 } }],
  ['truncate', { inputs: 'x', parameters: { truncate: 5 } }],
  ['watermark', { inputs: 'x', parameters: { watermark: true } }],
  ['typical_p', { inputs: 'x', parameters: { typical_p: 0.5 } }],
  ['best_of', { inputs: 'x', parameters: { best_of: 2 } }],
  ['adapter_id', { inputs: 'x', parameters: { adapter_id: 'a' } }],
  ['decoder_input_details', { inputs: 'x', parameters: { decoder_input_details: true } }],
  ['a grammar without a type', { inputs: 'x', parameters: { grammar: { value: {} } } }],
  ['a grammar that is no schema', { inputs: 'x', parameters: { grammar: { type: 'json', value: '[1' } } }],
  ['a stream of several texts', { inputs: ['a', 'b'], stream: true }],
  ['half a token', { inputs: 'x', parameters: { max_new_tokens: 1.5 } }],
  ['a seed that no number holds', JSON.parse('{"inputs": "x", "parameters": {"seed": 9007199254740993}}')],
  ['ten thousand texts', { inputs: Array.from({ length: 10_000 }, () => 'x') }],
  ['a thousand stops', { inputs: 'x', parameters: { stop: Array.from({ length: 1000 }, () => 'a') } }],
  ['a stop of a megabyte', { inputs: 'x', parameters: { stop: ['a'.repeat(2 ** 20)] } }],
  ['a grammar nested beyond reason', { inputs: 'x', parameters: { grammar: { type: 'json', value: `${'['.repeat(1000)}${']'.repeat(1000)}` } } }],
  ['polluted keys', { inputs: 'x', parameters: JSON.parse('{"__proto__": {"details": true}}') }],
  ['chat with a wrong role', { messages: [{ role: 'nobody', content: 'x' }] }],
]

test.each(BAD_BODIES)('a fault of the body is a ModelError with the status of the container: %s', async (_name, body) => {
  const error = await failureOf(invoke(body))
  expect(error).toBeInstanceOf(ModelError)
  expect(error).toMatchObject({ $metadata: { httpStatusCode: 424, requestId: expect.stringMatching(/^req/) }, OriginalStatusCode: 400 })
  expect((error as ModelError).OriginalMessage!.length).toBeGreaterThan(10)
  expect(model.requests).toEqual([])
  expect(({} as { details?: unknown }).details).toBeUndefined()
})

const BAD_ENVELOPES: readonly (readonly [string, Partial<InvokeEndpointCommandInput>, string])[] = [
  ['an endpoint that is not there', { EndpointName: 'nobody' }, 'does not exist'],
  ['an endpoint with a name of no endpoint', { EndpointName: 'a_b' }, 'EndpointName'],
  ['attributes outside of ASCII', { CustomAttributes: 'é' }, 'custom-attributes'],
  ['attributes that are too long', { CustomAttributes: 'x'.repeat(1025) }, 'custom-attributes'],
  ['an inference id that is too long', { InferenceId: 'x'.repeat(65) }, 'inference-id'],
  ['explanations', { EnableExplanations: '`true`' }, 'EnableExplanations'],
  ['a container of several', { TargetContainerHostname: 'second' }, 'TargetContainerHostname'],
  ['an answer in CSV', { Accept: 'text/csv' }, 'accept'],
]

test.each(BAD_ENVELOPES)('a fault around the body is a ValidationError: %s', async (_name, more, words) => {
  const error = await failureOf(invoke(CHAT, more))
  expect(error).toBeInstanceOf(ValidationError)
  expect(error.$metadata.httpStatusCode).toBe(400)
  expect(error.message).toContain(words)
})

test('bodies that are not JSON', async () => {
  for (const Body of ['', 'null', '[]', '"x"', '{', '{} {}', '\ufeff{}', '{"inputs":"a","inputs":"b"}', `{"inputs":${'['.repeat(100_000)}`]) {
    expect(await failureOf(client.send(new InvokeEndpointCommand(inputOf(null, { Body: Buffer.from(Body) }))))).toBeInstanceOf(ValidationError)
  }
  // JSON, but a number beyond all numbers.
  const Body = Buffer.from('{"inputs": "x", "parameters": {"temperature": 1e309}}')
  expect(await failureOf(client.send(new InvokeEndpointCommand(inputOf(null, { Body }))))).toMatchObject({
    name: 'ModelError',
    OriginalStatusCode: 400,
  })
  const csv = await failureOf(client.send(new InvokeEndpointCommand(inputOf(null, { ContentType: 'text/csv', Body: Buffer.from('1,2') }))))
  expect(csv).toMatchObject({ name: 'ModelError', OriginalStatusCode: 415, $metadata: { httpStatusCode: 415 } })
})

test('what the engine finds at fault is told by the name of the body’s field', async () => {
  const places = { maxTokens: 'parameters.max_new_tokens', stopStrings: 'parameters.stop', 'output.format': 'parameters.grammar', input: 'inputs' }
  for (const [place, field] of Object.entries(places)) {
    model.script = async function* () {
      yield* []
      throw new InferdError('invalid_parameter', 'does not fit', { param: place })
    }
    expect(await failureOf(invoke(GENERATE))).toMatchObject({ OriginalMessage: `${field}: does not fit` })
    expect(await failureOf(streamText({ ...GENERATE, stream: true }))).toMatchObject({ OriginalMessage: `${field}: does not fit` })
  }
  expect(await failureOf(invoke({ inputs: ['a', 'b'] }))).toMatchObject({ OriginalMessage: 'inputs[0]: does not fit' })
})

test('every error has a class that the client knows, or its own name', async () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    if (code === 'cancelled') continue
    model.script = async function* () {
      yield* []
      throw new InferdError(code, 'in words')
    }
    const error = await failureOf(invoke(CHAT))
    expect(error.name, code).toMatch(
      /^(ModelError|ValidationError|ServiceUnavailable|InternalFailure|InternalDependencyException|ModelNotReadyException|\w+Exception)$/,
    )
    expect(error.message, code).toContain(code === 'internal' ? 'in' : 'in words')
  }
})

const RETRIED: readonly (readonly [ErrorCode, unknown, boolean])[] = [
  ['overloaded', ServiceUnavailable, true],
  ['internal', InternalFailure, true],
  ['rate_limited', null, true],
  ['model_loading', ModelNotReadyException, true],
  ['invalid_parameter', ModelError, false],
  ['model_not_found', ValidationError, false],
  ['budget_exceeded', null, false],
]

test.each(RETRIED)('the client retries what may succeed, and nothing else: %s', async (code, kind, isRetried) => {
  const trying = clientOf(target.url, 2)
  model.script = async function* () {
    yield* []
    throw new InferdError(code, 'in words', { retryAfterMs: 1 })
  }
  const error = await failureOf(trying.send(new InvokeEndpointCommand(inputOf(CHAT))))
  if (kind !== null) expect(error).toBeInstanceOf(kind)
  expect(error.$metadata.attempts).toBe(isRetried ? 2 : 1)
  trying.destroy()
})

async function brokenStream(code: ErrorCode): Promise<unknown> {
  model.script = play([
    { type: 'response-start', promptTokens: 2, cachedTokens: 1 },
    { type: 'text-delta', choice: 0, text: 'a', logprobs: null },
    {
      type: 'response-error',
      error: { code, message: 'in words', param: null, retryAfterMs: null },
      usage: { promptTokens: 2, cachedTokens: 1, cacheWriteTokens: 0, completionTokens: 1, reasoningTokens: 0 },
    },
  ])
  return failureOf(streamText({ ...GENERATE, stream: true }))
}

test('87: a stream that breaks ends with an exception of its own class', async () => {
  expect(await brokenStream('replica_lost')).toMatchObject({ name: 'ModelStreamError', ErrorCode: 'StreamBroken' })
  expect(await brokenStream('deadline_exceeded')).toBeInstanceOf(ModelStreamError)
  expect(await brokenStream('deadline_exceeded')).toMatchObject({ ErrorCode: 'ModelInvocationTimeExceeded' })
  expect(await brokenStream('internal')).toBeInstanceOf(InternalStreamFailure)
})

test('89: an error before the first word has a status of its own', async () => {
  model.script = async function* () {
    yield* []
    throw new InferdError('overloaded', 'in words')
  }
  expect(await failureOf(streamText({ ...GENERATE, stream: true }))).toBeInstanceOf(ServiceUnavailable)
})

test('84: a caller who leaves ends the work', async () => {
  model.script = sayNothing
  const leaving = new AbortController()
  const asked = failureOf(client.send(new InvokeEndpointCommand(inputOf(CHAT)), { abortSignal: leaving.signal }))
  await expect.poll(() => model.numRunning).toBe(1)
  leaving.abort()
  await asked
  await expect.poll(() => model.numRunning).toBe(0)
})

test('what belongs elsewhere is refused by name', async () => {
  const async = new InvokeEndpointAsyncCommand({ EndpointName: 'fake-model', InputLocation: 's3://bucket/key' })
  expect(await failureOf(client.send(async))).toMatchObject({ name: 'ValidationError', message: expect.stringContaining('InvokeEndpointAsync') })
  const control = await fetch(target.url, { method: 'POST', headers: { 'x-amz-target': 'SageMaker.CreateAlgorithm' }, body: '{}' })
  expect([control.status, control.headers.get('x-amzn-errortype')]).toEqual([400, 'ValidationError'])
  expect(await control.text()).toContain('CreateAlgorithm')
  expect((await fetch(target.url, { method: 'POST', body: '{}' })).status).toBe(404)
  expect((await fetch(`${target.url}/endpoints/x/nothing`, { method: 'POST' })).headers.get('x-amzn-errortype')).toBe('UnknownOperationException')
})

test('the container contract: the first model answers, in bare bodies', async () => {
  const ask = (body: unknown): Promise<Response> =>
    fetch(`${target.url}/invocations`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  expect(await (await ask(GENERATE)).json()).toEqual([{ generated_text: TEXT }])
  expect(await (await ask(CHAT)).json()).toMatchObject({ model: 'fake/model' })
  expect((await ask({ ...CHAT, model: 'other' })).headers.get('x-amzn-errortype')).toBe('ValidationError')
  const stream = await ask({ ...GENERATE, stream: true })
  expect(stream.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect(framesOf(await stream.text()).at(-1)).toMatchObject({ generated_text: TEXT })
})
