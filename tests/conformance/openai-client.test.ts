/** The official OpenAI client against a scripted model: the suite for every server, then what needs a script. */
import { setTimeout as delay } from 'node:timers/promises'
import OpenAI, {
  APIConnectionError,
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
} from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ErrorCode, InferdError } from '#contract/errors'
import { PLAIN_OUTPUT } from '#contract/generate'
import { FAKE_FACTS, type FakeModel, play, sayNothing, sayWords, type Script, speakForEver } from './fake-model.ts'
import { collect, openAiClient, rejection, runOpenAiSuite } from './openai-suite.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const USAGE = { promptTokens: 7, cachedTokens: 2, cacheWriteTokens: 0, completionTokens: 1, reasoningTokens: 0 }
const MESSAGES = [{ role: 'user' as const, content: 'hi' }]

let target: TestServer
let client: OpenAI
let model: FakeModel

beforeAll(async () => {
  target = await startTestServer({ options: { requestTimeoutMs: 1500 } })
  client = openAiClient(target.url)
  model = target.model
})

beforeEach(() => {
  model.script = sayWords(['Hello', ' ', 'wörld', ' 🦊'])
  model.state = { kind: 'ready', facts: FAKE_FACTS }
  model.aborts.length = 0
  model.requests.length = 0
})

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
})

describe('any server', () => {
  runOpenAiSuite({ baseUrl: () => target.url, model: 'fake/model' })
})

function chat(): Promise<unknown> {
  return client.chat.completions.create({ model: 'fake/model', messages: MESSAGES })
}

async function chatStream(signal?: AbortSignal): Promise<AsyncIterable<OpenAI.ChatCompletionChunk>> {
  return client.chat.completions.create({ model: 'fake/model', messages: MESSAGES, stream: true }, signal === undefined ? {} : { signal })
}

async function untilStopped(): Promise<void> {
  for (let waits = 0; waits < 500 && model.numRunning > 0; waits++) await delay(5)
}

const CLASSES: readonly (readonly [ErrorCode, number, new (...args: never[]) => APIError])[] = [
  ['context_length_exceeded', 400, BadRequestError],
  ['invalid_parameter', 400, BadRequestError],
  ['unauthenticated', 401, AuthenticationError],
  ['forbidden', 403, PermissionDeniedError],
  ['model_not_found', 404, NotFoundError],
  ['overloaded', 503, InternalServerError],
  ['model_loading', 503, InternalServerError],
  ['shutting_down', 503, InternalServerError],
  ['deadline_exceeded', 504, InternalServerError],
  ['replica_lost', 500, InternalServerError],
  ['non_finite_logits', 500, InternalServerError],
  ['internal', 500, InternalServerError],
]

test.each(CLASSES)(
  '%s before the first word has status %i and its class, thrown or as an event, streamed or not',
  async (code, status, errorClass) => {
    const record = { code, message: 'said by the test', param: null, retryAfterMs: null }
    const thrown = new InferdError(code, 'said by the test')
    const throwing: Script = () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(thrown) }) })
    const scripts = [
      throwing,
      play([{ type: 'response-error', error: record, usage: USAGE }]),
      play([
        { type: 'response-start', promptTokens: 7, cachedTokens: 0 },
        { type: 'response-error', error: record, usage: USAGE },
      ]),
    ]
    for (const script of scripts) {
      model.script = script
      for (const failed of [chat(), chatStream()]) {
        const error = await rejection(failed)
        expect(error).toBeInstanceOf(errorClass)
        expect(error).toMatchObject({ status, error: { message: 'said by the test' } })
      }
    }
  },
)

test('an error after the first word ends the stream with the error and the client raises it', async () => {
  model.script = play([
    { type: 'response-start', promptTokens: 7, cachedTokens: 0 },
    { type: 'text-delta', choice: 0, text: 'Hel', logprobs: null },
    { type: 'response-error', error: { code: 'replica_lost', message: 'the worker died', param: null, retryAfterMs: null }, usage: USAGE },
  ])
  let text = ''
  const error = await rejection(
    (async () => {
      for await (const chunk of await chatStream()) text += chunk.choices[0]?.delta.content ?? ''
    })(),
  )
  expect(text).toBe('Hel')
  expect(error).toBeInstanceOf(APIError)
  expect(error).toMatchObject({ code: 'replica_lost', type: 'server_error' })
})

test('a bug in the model does not put its words on the wire', async () => {
  model.script = async function* () {
    yield { type: 'response-start', promptTokens: 7, cachedTokens: 0 }
    throw new RangeError('secret path /home/x')
  }
  for (const failed of [chat(), chatStream()]) {
    expect(await rejection(failed)).toMatchObject({ status: 500, error: { message: 'internal error', code: 'internal_error' } })
  }
})

test('aborting a stream reaches the signal of the model', async () => {
  model.script = speakForEver(5)
  const controller = new AbortController()
  const stream = await chatStream(controller.signal)
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) controller.abort()
  }
  await untilStopped()
  expect(model.numRunning).toBe(0)
  expect(model.aborts).toMatchObject([{ code: 'cancelled' }])
})

test('leaving a stream early reaches the signal of the model', async () => {
  model.script = speakForEver(5)
  for await (const chunk of await chatStream()) {
    if (chunk.choices[0]?.delta.content) break
  }
  await untilStopped()
  expect(model.numRunning).toBe(0)
})

test('aborting a call that is not streamed reaches the signal of the model', async () => {
  model.script = sayNothing
  const controller = new AbortController()
  const failed = rejection(client.chat.completions.create({ model: 'fake/model', messages: MESSAGES }, { signal: controller.signal }))
  while (model.numRunning === 0) await delay(2)
  controller.abort()
  expect(await failed).toBeInstanceOf(APIUserAbortError)
  await untilStopped()
  expect(model.aborts).toMatchObject([{ code: 'cancelled' }])
})

test('a failed prompt of a list ends the others and the whole call', async () => {
  model.script = async function* (request, signal) {
    yield { type: 'response-start', promptTokens: 7, cachedTokens: 0 }
    if (request.requestId.endsWith('-1')) {
      yield { type: 'response-error', error: { code: 'overloaded', message: 'full', param: null, retryAfterMs: 2500 }, usage: USAGE }
      return
    }
    yield* speakForEver(5)(request, signal)
  }
  const error = await rejection(client.completions.create({ model: 'fake/model', prompt: ['a', 'b', 'c'] }))
  expect(error).toMatchObject({ status: 503, code: 'overloaded' })
  expect((error as APIError).headers?.get('retry-after')).toBe('3')
  await untilStopped()
  expect(model.aborts.length).toBeGreaterThanOrEqual(2)
  expect(model.numRunning).toBe(0)
})

test('a call over its deadline is 504, and a stream over it ends with the error', async () => {
  const short = await startTestServer({ model, options: { requestTimeoutMs: 100 } })
  const hurried = openAiClient(short.url)
  const request = { model: 'fake/model', messages: MESSAGES }
  model.script = sayNothing
  expect(await rejection(hurried.chat.completions.create(request))).toMatchObject({ status: 504, code: 'timeout' })
  model.script = speakForEver(5)
  const stream = await hurried.chat.completions.create({ ...request, stream: true })
  expect(await rejection(collect(stream))).toMatchObject({ code: 'timeout' })
  await untilStopped()
  expect(model.numRunning).toBe(0)
  await short.server.close({ graceMs: 0 })
})

test('retry headers say when a retry helps and when it cannot', async () => {
  model.state = { kind: 'loading', loadedBytes: 1, totalBytes: 2 }
  const loading = (await rejection(chat())) as APIError
  expect([loading.status, loading.headers?.get('retry-after'), loading.headers?.get('x-should-retry')]).toEqual([503, '5', null])
  model.state = { kind: 'failed', error: { code: 'invalid_model_file', message: '/models/x.gguf byte 7', param: null, retryAfterMs: null } }
  const failed = (await rejection(chat())) as APIError
  expect([failed.status, failed.code, failed.headers?.get('retry-after'), failed.headers?.get('x-should-retry')]).toEqual([
    404,
    'model_not_found',
    null,
    'false',
  ])
  expect(failed.message).not.toContain('/models')
  model.state = { kind: 'stopping' }
  expect(await rejection(chat())).toMatchObject({ status: 503, code: 'shutting_down' })
})

test('a server that is not there raises APIConnectionError', async () => {
  const gone = await startTestServer()
  await gone.server.close({ graceMs: 0 })
  expect(await rejection(openAiClient(gone.url).models.list())).toBeInstanceOf(APIConnectionError)
})

test('every documented field reaches the model in its own place', async () => {
  const extensions = {
    top_k: 40,
    min_p: 0.05,
    repetition_penalty: 1.1,
    min_tokens: 2,
    ignore_eos: true,
    stop_token_ids: [3],
    include_stop_str_in_output: true,
    priority: -1,
    cache_salt: 's',
  }
  await client.chat.completions.create({
    model: 'fake/model',
    messages: [
      { role: 'developer', content: 'be kind' },
      { role: 'assistant', content: 'yes', refusal: null },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
        name: 'eve',
      },
    ],
    temperature: 0.5,
    top_p: 0.9,
    presence_penalty: 1,
    frequency_penalty: -1,
    logit_bias: { '5': -100 },
    seed: 2 ** 32 + 9,
    n: 2,
    stop: ['X'],
    max_completion_tokens: 9,
    logprobs: true,
    top_logprobs: 3,
    user: 'u',
    metadata: { a: 'b' },
    response_format: { type: 'text' },
    tools: [],
    tool_choice: 'none',
    store: false,
    ...extensions,
  })
  expect(model.requests).toEqual([
    {
      requestId: expect.stringMatching(/^chatcmpl-/) as string,
      input: {
        kind: 'messages',
        messages: [
          { role: 'system', content: 'be kind' },
          { role: 'assistant', content: 'yes' },
          { role: 'user', content: 'a\nb', name: 'eve' },
        ],
      },
      sampling: {
        temperature: 0.5,
        topK: 40,
        topP: 0.9,
        minP: 0.05,
        repetitionPenalty: 1.1,
        presencePenalty: 1,
        frequencyPenalty: -1,
        logitBias: [{ tokenId: 5, bias: -100 }],
        seed: 9,
      },
      output: PLAIN_OUTPUT,
      maxTokens: 9,
      minTokens: 2,
      stopStrings: ['X'],
      stopTokenIds: [3],
      ignoreEos: true,
      includeStopString: true,
      numTopLogprobs: 3,
      numChoices: 2,
      echo: false,
      priority: -1,
      cacheSalt: 's',
    },
  ])
})
