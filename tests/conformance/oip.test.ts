/** The Open Inference Protocol v2 for text: the wire as its REST definition has it. It is also the proof of what a new dialect costs. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { OutcomeCollector } from '#server/generate-outcome'
import { oipFamily } from '#server/protocols/oip/routes'
import { decodeCall, EMPTY_REPORT, incomingOf } from './decode-call.ts'
import { coursesOf } from './event-courses.ts'
import { FakeModel, sayWords } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

let target: TestServer
let model: FakeModel

beforeAll(async () => {
  target = await startTestServer({ model: new FakeModel({ name: 'org/model' }) })
  model = target.model
})

beforeEach(() => {
  model.script = sayWords(['Hello', ' ', 'wörld'])
  model.requests.length = 0
})

afterAll(() => target.server.close({ graceMs: 0 }))

async function post(operation: string, body: unknown, name = 'org%2Fmodel'): Promise<readonly [status: number, body: unknown]> {
  const response = await fetch(`${target.url}/v2/models/${name}/${operation}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  const text = await response.text()
  return [response.status, text.startsWith('data:') ? text : (JSON.parse(text) as unknown)]
}

test('a new dialect costs under 300 lines', () => {
  const folder = path.resolve(import.meta.dirname, '../../src/server/protocols/oip')
  const numLines = readdirSync(folder).reduce((sum, file) => sum + readFileSync(path.join(folder, file), 'utf8').split('\n').length, 0)
  expect(numLines).toBeLessThan(300)
})

test('generate answers with the text and, when asked, with its tokens', async () => {
  const parameters = { temperature: 0.5, top_p: 0.9, top_k: 3, max_tokens: 9, stop: ['END'], seed: 7 }
  const head = { id: 'a', model_name: 'org/model' }
  expect(await post('generate', { id: 'a', text_input: 'Hi', parameters })).toEqual([200, { ...head, text_output: 'Hello wörld' }])
  expect(model.requests[0]).toMatchObject({
    input: { kind: 'text', text: 'Hi' },
    sampling: { temperature: 0.5, topP: 0.9, topK: 3, seed: 7 },
    maxTokens: 9,
    stopStrings: ['END'],
  })
  const [, detailed] = await post('generate', { text_input: 'Hi', parameters: { details: true } })
  expect(detailed).toMatchObject({
    text_output: 'Hello wörld',
    details: { finish_reason: 'stop', logprobs: [{ text: 'Hello', logprob: -0.5, special: false }, { text: ' ' }, { text: 'wörld' }] },
  })
})

test('generate_stream sends the pieces and then why it ended', async () => {
  const [status, wire] = await post('generate_stream', { text_input: 'Hi' })
  const head = '"model_name":"org/model"'
  const frames = ['Hello', ' ', 'wörld'].map((text) => `data: {${head},"text_output":"${text}","done":false}\n\n`)
  expect([status, wire]).toEqual([200, `${frames.join('')}data: {${head},"text_output":"","done":true,"details":{"finish_reason":"stop"}}\n\n`])
})

test('infer takes a tensor of texts and gives one back', async () => {
  const tensor = { name: 'text_input', datatype: 'BYTES', shape: [2, 1], data: ['a', 'b'] }
  const [status, answer] = await post('infer', { id: 'x', inputs: [tensor] })
  expect([status, answer]).toEqual([
    200,
    {
      id: 'x',
      model_name: 'org/model',

      outputs: [{ name: 'text_output', datatype: 'BYTES', shape: [2], data: ['Hello wörld', 'Hello wörld'] }],
    },
  ])
})

test('health and metadata', async () => {
  const get = async (target_: string): Promise<readonly [number, unknown]> => {
    const response = await fetch(`${target.url}${target_}`)
    return [response.status, await response.json()]
  }
  expect(await get('/v2')).toEqual([200, { name: 'inferd', version: '2', extensions: ['generate'] }])
  expect(await get('/v2/health/live')).toEqual([200, { live: true }])
  expect(await get('/v2/health/ready')).toEqual([200, { ready: true }])
  expect(await get('/v2/models/org%2Fmodel/ready')).toEqual([200, { name: 'org/model', ready: true }])
  expect(await get('/v2/models/org%2Fmodel')).toMatchObject([200, { name: 'org/model', platform: 'inferd', inputs: [{ datatype: 'BYTES' }] }])
  expect(await get('/v2/models/none/ready')).toEqual([404, { error: 'the model does not exist on this server' }])
})

test.each([
  ['generate', {}, 'text_input'],
  ['generate', { text_input: '' }, 'text_input'],
  ['generate', { text_input: 'a', parameters: { temperature: 9 } }, 'parameters.temperature'],
  ['generate', { text_input: 'a', parameters: { max_tokens: 0 } }, 'parameters.max_tokens'],
  ['generate', { text_input: 'a', parameters: { stop: [''] } }, 'parameters.stop[0]'],
  ['generate', { text_input: 'a', parameters: { unheard: 1 } }, 'parameters.unheard'],
  ['generate', '{"text_input":', 'JSON'],
  ['infer', { inputs: [] }, 'inputs'],
  ['infer', { inputs: [{ name: 'text_input', datatype: 'FP32', shape: [1], data: [1] }] }, 'inputs[0].datatype'],
  ['infer', { inputs: [{ name: 'other', datatype: 'BYTES', shape: [1], data: ['a'] }] }, 'inputs[0].name'],
  ['infer', { inputs: [{ name: 'text_input', datatype: 'BYTES', shape: [3], data: ['a'] }] }, 'inputs[0].shape'],
  ['infer', { inputs: [{ name: 'text_input', datatype: 'BYTES', shape: [-1], data: ['a'] }] }, 'inputs[0].shape'],
  ['infer', { inputs: [{ name: 'text_input', datatype: 'BYTES', shape: [1], data: [7] }] }, 'inputs[0].data[0]'],
])('%s %j is refused by the name of its field', async (operation, body, field) => {
  const [status, answer] = await post(operation, body)
  expect([status, (answer as { readonly error: string }).error]).toEqual([400, expect.stringContaining(field)])
  expect(model.requests).toEqual([])
})

test('errors are one sentence with the status that fits', async () => {
  const fails = (code: 'overloaded' | 'replica_lost' | 'rate_limited'): void => {
    const error = new InferdError(code, 'said by the test')
    model.script = () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) })
  }
  for (const [code, status] of [
    ['overloaded', 503],
    ['rate_limited', 429],
    ['replica_lost', 500],
  ] as const) {
    fails(code)
    expect(await post('generate', { text_input: 'a' })).toEqual([status, { error: 'said by the test' }])
    expect(await post('generate_stream', { text_input: 'a' })).toEqual([status, { error: 'said by the test' }])
  }
  expect((await post('generate', { text_input: 'a' }, 'gone'))[0]).toBe(404)
})

test('the pieces of any course of events make the whole text', async () => {
  await fc.assert(
    fc.asyncProperty(coursesOf('raw', 1), async ({ events, numChoices, logprobs }) => {
      const body = { text_input: 'hi' }
      const whole = await decodeCall(oipFamily, '/v2/models/:model/generate', incomingOf('/v2/models/m/generate', body))
      const stream = await decodeCall(oipFamily, '/v2/models/:model/generate_stream', incomingOf('/v2/models/m/generate_stream', body))
      const collector = new OutcomeCollector({ numChoices, logprobs })
      for (const event of events) collector.add(event)
      const answer = JSON.parse(Buffer.from(whole.encodeResponse(collector.finish(), EMPTY_REPORT).body as string).toString()) as {
        text_output: string
      }
      const { encode } = stream.startStream(EMPTY_REPORT)
      const frames = events
        .map((event) => encode(event))
        .join('')
        .split('\n\n')
        .slice(0, -1)
      const texts = frames.map((frame) => (JSON.parse(frame.slice('data: '.length)) as { text_output: string }).text_output)
      expect(texts.join('')).toBe(answer.text_output)
    }),
    { seed: 20261201, numRuns: 200 },
  )
})
