/** The wire of text-generation-inference, for clients that come from there. Its bodies inside SageMaker's envelope: sagemaker-client.test.ts. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type ErrorCode, InferdError } from '#contract/errors'
import { FakeModel, sayWords } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

let target: TestServer
let model: FakeModel

beforeAll(async () => {
  target = await startTestServer({ model: new FakeModel({ name: 'm' }) })
  model = target.model
})

beforeEach(() => {
  model.script = sayWords(['Hello', ' ', 'wörld'])
  model.requests.length = 0
})

afterAll(() => target.server.close({ graceMs: 0 }))

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<readonly [status: number, text: string]> {
  const response = await fetch(`${target.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  return [response.status, await response.text()]
}

test('/generate answers with one object, greedy unless something asks for sampling', async () => {
  const [status, text] = await post('/generate', { inputs: 'Hi', parameters: { max_new_tokens: 5, stop: ['END'], seed: 3, details: true } })
  expect(status).toBe(200)
  expect(JSON.parse(text)).toMatchObject({
    generated_text: 'Hello wörld',
    details: { finish_reason: 'eos_token', generated_tokens: 3, seed: 3, prefill: [], tokens: [{ text: 'Hello', special: false }, {}, {}] },
  })
  expect(model.requests[0]).toMatchObject({ sampling: { temperature: 0, seed: 3 }, maxTokens: 5, stopStrings: ['END'], includeStopString: true })
  await post('/generate', { inputs: 'Hi', parameters: { do_sample: true, top_p: 0.9 } })
  expect(model.requests[1]).toMatchObject({ sampling: { temperature: 1, topP: 0.9 } })
})

test('/generate_stream sends a frame for each token; the last one has the whole text', async () => {
  const [status, wire] = await post('/generate_stream', { inputs: 'Hi' })
  const frames = wire
    .split('\n\n')
    .slice(0, -1)
    .map((frame) => JSON.parse(frame.slice('data: '.length)) as Record<string, unknown>)
  expect(status).toBe(200)
  expect(frames.map(({ token }) => (token as { text: string }).text)).toEqual(['Hello', ' ', 'wörld', ''])
  expect(frames.map(({ generated_text: whole }) => whole)).toEqual([null, null, null, 'Hello wörld'])
  expect(frames.at(-1)).toMatchObject({ details: { finish_reason: 'eos_token', generated_tokens: 3, input_length: 7 } })
})

test('/info names the model, and another one can be asked for by header', async () => {
  expect(await (await fetch(`${target.url}/info`)).json()).toMatchObject({ model_id: 'm', model_pipeline_tag: 'text-generation' })
  expect((await post('/generate', { inputs: 'Hi' }, { 'x-inferd-model': 'gone' }))[0]).toBe(404)
})

test.each([
  ['/generate', {}, 'inputs'],
  ['/generate', { inputs: ['a', 'b'] }, 'inputs'],
  ['/generate', { inputs: 'a', stream: true }, 'stream'],
  ['/generate_stream', { inputs: 'a', stream: false }, 'stream'],
  ['/generate', { inputs: 'a', parameters: { temperature: 9 } }, 'parameters.temperature'],
  ['/generate', { inputs: 'a', parameters: { best_of: 4 } }, 'parameters.best_of'],
  ['/generate', { inputs: 'a', parameters: { watermark: true } }, 'parameters.watermark'],
  ['/generate', { inputs: 'a', parameters: { truncate: 10 } }, 'parameters.truncate'],
])('%s %j is refused by the name of its field', async (path, body, field) => {
  const [status, text] = await post(path, body)
  expect([status, JSON.parse(text)]).toEqual([422, { error: expect.stringContaining(field) as string, error_type: 'validation' }])
  expect(model.requests).toEqual([])
})

test.each([
  ['overloaded', 429, 'overloaded'],
  ['rate_limited', 429, 'overloaded'],
  ['context_length_exceeded', 422, 'validation'],
  ['replica_lost', 424, 'generation'],
  ['internal', 424, 'generation'],
] as const)('%s is %i %s, and in a stream that has begun its last frame', async (code: ErrorCode, status, type) => {
  const error = new InferdError(code, 'said by the test')
  model.script = () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) })
  for (const path of ['/generate', '/generate_stream']) {
    const [answered, text] = await post(path, { inputs: 'a' })
    expect([answered, JSON.parse(text)]).toEqual([status, { error: 'said by the test', error_type: type }])
  }
  model.script = async function* () {
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    yield { type: 'text-delta', choice: 0, text: 'a', logprobs: null }
    throw error
  }
  expect((await post('/generate_stream', { inputs: 'a' }))[1]).toMatch(/data: \{"error":"[^"]+","error_type":"(generation|overloaded)"\}\n\n$/)
})
