/** Every error in Bedrock's shape, before and inside of streams, and what the official client makes of it: class and retry. */
import {
  BedrockRuntimeClient,
  type BedrockRuntimeServiceException,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ErrorCode, ERRORS, InferdError } from '#contract/errors'
import { type GenerateEvent, NO_USAGE } from '#contract/generate'
import { type FakeModel, play, sayWords } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const ASK: ConverseCommandInput = { modelId: 'fake/model', messages: [{ role: 'user', content: [{ text: 'hi' }] }] }
const LLAMA = { modelId: 'fake/model', body: Buffer.from('{"prompt":"hi","max_gen_len":9}') }

/** Status and exception of the classes of errors, and whether the client asks again. */
const EXPECTED = {
  malformed_body: [400, 'ValidationException', false],
  malformed_request: [400, 'ValidationException', false],
  invalid_parameter: [400, 'ValidationException', false],
  unsupported_parameter: [400, 'ValidationException', false],
  context_length_exceeded: [400, 'ValidationException', false],
  unauthenticated: [403, 'MissingAuthenticationTokenException', false],
  invalid_credentials: [403, 'UnrecognizedClientException', false],
  signature_mismatch: [403, 'InvalidSignatureException', false],
  signature_expired: [403, 'InvalidSignatureException', false],
  incomplete_signature: [400, 'IncompleteSignatureException', false],
  session_expired: [403, 'ExpiredTokenException', false],
  forbidden: [403, 'AccessDeniedException', false],
  model_not_found: [404, 'ResourceNotFoundException', false],
  resource_not_found: [404, 'ResourceNotFoundException', false],
  conflict: [400, 'ConflictException', false],
  route_not_found: [404, 'UnknownOperationException', false],
  method_not_allowed: [405, 'UnknownOperationException', false],
  payload_too_large: [413, 'ValidationException', false],
  headers_too_large: [431, 'ValidationException', false],
  unsupported_media_type: [415, 'ValidationException', false],
  misdirected_host: [421, 'ValidationException', false],
  request_timeout: [408, 'RequestTimeoutException', true],
  rate_limited: [429, 'ThrottlingException', true],
  budget_exceeded: [400, 'ServiceQuotaExceededException', false],
  quota_exceeded: [400, 'ServiceQuotaExceededException', false],
  content_blocked: [400, 'ValidationException', false],
  overloaded: [503, 'ServiceUnavailableException', true],
  model_loading: [429, 'ModelNotReadyException', true],
  shutting_down: [503, 'ServiceUnavailableException', true],
  deadline_exceeded: [408, 'ModelTimeoutException', false],
  replica_lost: [424, 'ModelErrorException', false],
  degenerate_output: [424, 'ModelErrorException', false],
  non_finite_logits: [424, 'ModelErrorException', false],
  upstream_failed: [503, 'ServiceUnavailableException', true],
  store_failed: [503, 'ServiceUnavailableException', true],
  invalid_model_file: [500, 'InternalServerException', true],
  unsupported_model: [500, 'InternalServerException', true],
  insufficient_memory: [500, 'InternalServerException', true],
  internal: [500, 'InternalServerException', true],
} as const satisfies Partial<Record<ErrorCode, readonly [number, string, boolean]>>

let target: TestServer
let client: BedrockRuntimeClient
let model: FakeModel

beforeAll(async () => {
  target = await startTestServer()
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
  client = new BedrockRuntimeClient({ endpoint: target.url, region: 'us-east-1', maxAttempts: 2, credentials })
  model = target.model
})

beforeEach(() => {
  model.requests.length = 0
})

afterAll(async () => {
  client.destroy()
  await target.server.close({ graceMs: 0 })
})

function failFirst(code: ErrorCode): FakeModel['script'] {
  let numAnswers = 0
  const say = sayWords(['ok'])
  return async function* (request, signal) {
    if (numAnswers++ === 0) throw new InferdError(code, `it was ${code}`, { retryAfterMs: 1 })
    yield* say(request, signal)
  }
}

async function failureOf(work: Promise<unknown>): Promise<BedrockRuntimeServiceException> {
  return work.then(
    () => expect.fail('it should have failed'),
    (error: unknown) => error as BedrockRuntimeServiceException,
  )
}

function breakAfterText(code: ErrorCode): readonly GenerateEvent[] {
  return [
    { type: 'response-start', promptTokens: 7, cachedTokens: 0 },
    { type: 'text-delta', choice: 0, text: 'Hel', logprobs: null },
    { type: 'response-error', error: { code, message: `it was ${code}`, param: null, retryAfterMs: null }, usage: NO_USAGE },
  ]
}

test('the table has every code that a client can be told', () => {
  expect(Object.keys(EXPECTED).toSorted()).toEqual(
    Object.keys(ERRORS)
      .filter((code) => code !== 'cancelled')
      .toSorted(),
  )
})

describe.each(Object.entries(EXPECTED))('%s', (code, [status, name, isRetried]) => {
  test(`is ${status} ${name}${isRetried ? ', and asked again' : ''}`, async () => {
    model.script = failFirst(code as ErrorCode)
    const call = client.send(new ConverseCommand(ASK))
    if (isRetried) {
      expect((await call).stopReason).toBe('end_turn')
      expect(model.requests).toHaveLength(2)
      return
    }
    const error = await failureOf(call)
    expect([error.name, error.$metadata.httpStatusCode, error.message]).toEqual([name, status, `it was ${code}`])
    expect(error.$metadata.requestId).toMatch(/^req-/)
    expect(model.requests).toHaveLength(1)
  })
})

test('what can be waited for says how long', async () => {
  model.script = failFirst('rate_limited')
  const response = await fetch(`${target.url}/model/fake%2Fmodel/converse`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: ASK.messages }),
  })
  expect([response.status, response.headers.get('retry-after'), response.headers.get('x-amzn-errortype')]).toEqual([429, '1', 'ThrottlingException'])
  expect(await response.json()).toEqual({ message: 'it was rate_limited' })
})

describe('a stream', () => {
  test('that fails before its first word has a status of its own', async () => {
    model.script = failFirst('forbidden')
    const error = await failureOf(client.send(new ConverseStreamCommand(ASK)))
    expect([error.name, error.$metadata.httpStatusCode]).toEqual(['AccessDeniedException', 403])
  })

  test.each([
    ['replica_lost', 'ModelStreamErrorException'],
    ['deadline_exceeded', 'ModelStreamErrorException'],
    ['rate_limited', 'ThrottlingException'],
    ['overloaded', 'ServiceUnavailableException'],
    ['internal', 'InternalServerException'],
    ['invalid_parameter', 'ValidationException'],
  ] as const)('of Converse that breaks by %s ends with %s', async (code, name) => {
    model.script = play(breakAfterText(code))
    const { stream } = await client.send(new ConverseStreamCommand(ASK))
    const seen: string[] = []
    const error = await failureOf(
      (async () => {
        for await (const { contentBlockDelta, messageStop } of stream!) seen.push(contentBlockDelta?.delta?.text ?? (messageStop ? 'END' : ''))
      })(),
    )
    expect([error.name, error.message]).toEqual([name, `it was ${code}`])
    expect(seen.join('')).toBe('Hel')
  })

  test('of InvokeModel has a frame for time-outs', async () => {
    model.script = play(breakAfterText('deadline_exceeded'))
    const { body } = await client.send(new InvokeModelWithResponseStreamCommand(LLAMA))
    const error = await failureOf(Array.fromAsync(body!))
    expect(error.name).toBe('ModelTimeoutException')
  })

  test('that breaks tells the status behind it', async () => {
    model.script = play(breakAfterText('replica_lost'))
    const { body } = await client.send(new InvokeModelWithResponseStreamCommand(LLAMA))
    expect(await failureOf(Array.fromAsync(body!))).toMatchObject({ originalStatusCode: 424, originalMessage: 'it was replica_lost' })
  })
})
