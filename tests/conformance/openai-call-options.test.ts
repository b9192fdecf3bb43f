/** The terms of a call, as fields and as headers, arrive with the call; what was done about them is said in the answer. */
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type CallOptions, DEFAULT_CALL_OPTIONS, type OnlineCall } from '#contract/call'
import { directModels } from '#platform/online/online-models'
import { directoryOf, FakeModel } from './fake-model.ts'
import { openAiClient } from './openai-suite.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const MODEL = 'fake/model'
const FIELDS = {
  service_tier: 'flex' as const,
  metadata: { a: 'b' },
  guardrail: { id: 'pii', version: '3', trace: true },
  truncation: 'middle-out',
  cache: { mode: 'semantic', max_age: 60 },
}
const OPTIONS: CallOptions = {
  tier: 'flex',
  metadata: { a: 'b' },
  guardrail: { guardrail: 'pii', version: '3', trace: true, streaming: 'sync', content: null },
  truncation: 'middle-out',
  responseCache: { mode: 'semantic', maxAgeS: 60 },
}
const HEADERS = {
  'x-inferd-tier': 'flex',
  'x-inferd-metadata': 'a=b',
  'x-inferd-guardrail': 'pii;version=3;trace',
  'x-inferd-truncation': 'middle-out',
  'x-inferd-cache': 'semantic;max-age=60',
}

const model = new FakeModel()
const direct = directModels(directoryOf(model))
let calls: OnlineCall[] = []
let target: TestServer
let client: OpenAI

beforeAll(async () => {
  const generate = (call: OnlineCall, signal: AbortSignal): ReturnType<typeof direct.generate> => {
    calls.push(call)
    call.report.tier = call.options.tier
    if (call.options.truncation !== 'none') {
      call.report.truncation = { strategy: call.options.truncation, numDroppedMessages: 2, promptTokensBefore: 90, promptTokensAfter: 40 }
    }
    call.report.cache = call.options.responseCache === null ? 'none' : 'exact'
    return direct.generate(call, signal)
  }
  target = await startTestServer({ model, online: { ...direct, generate } })
  client = openAiClient(target.url)
})

beforeEach(() => {
  calls = []
})

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
})

const messages = [{ role: 'user' as const, content: 'hi' }]
const { truncation: _raw, ...PROMPT_FIELDS } = FIELDS

const ASKERS: readonly (readonly [string, (fields: object, headers: Record<string, string>) => Promise<unknown>])[] = [
  ['chat', (fields, headers) => client.chat.completions.create({ model: MODEL, messages, ...fields }, { headers })],
  ['responses', (fields, headers) => client.responses.create({ model: MODEL, input: 'hi', ...fields }, { headers })],
  ['completions', (fields, headers) => client.completions.create({ model: MODEL, prompt: 'hi', ...fields }, { headers })],
]

test.each(ASKERS)('%s takes them as fields and as headers', async (operation, ask) => {
  await ask({}, {})
  await ask(operation === 'completions' ? PROMPT_FIELDS : FIELDS, {})
  await ask({}, HEADERS)
  expect(calls.map(({ options }) => options)).toEqual([
    DEFAULT_CALL_OPTIONS,
    operation === 'completions' ? { ...OPTIONS, truncation: 'none' } : OPTIONS,
    OPTIONS,
  ])
})

const REPORT = {
  truncation: { strategy: 'middle-out', dropped_messages: 2, prompt_tokens_before: 90, prompt_tokens_after: 40 },
  cache: 'exact',
}

test('what was left out is said in the answer, whole and streamed, and so is the tier', async () => {
  expect(await client.chat.completions.create({ model: MODEL, messages, ...FIELDS } as never)).toMatchObject({ service_tier: 'flex', inferd: REPORT })
  expect(await client.responses.create({ model: MODEL, input: 'hi', ...FIELDS } as never)).toMatchObject({
    service_tier: 'flex',
    truncation: 'auto',
    inferd: REPORT,
  })
  const chunks: OpenAI.ChatCompletionChunk[] = []
  const stream = await client.chat.completions.create({ model: MODEL, messages, ...FIELDS, stream: true } as never)
  for await (const chunk of stream as unknown as AsyncIterable<OpenAI.ChatCompletionChunk>) chunks.push(chunk)
  const told = chunks.filter((chunk) => 'inferd' in chunk)
  expect(told).toHaveLength(1)
  expect(told[0]).toMatchObject({ service_tier: 'flex', inferd: REPORT, choices: [{ finish_reason: 'stop' }] })
})

test('a call with nothing to say has no such fields', async () => {
  const answer = await client.chat.completions.create({ model: MODEL, messages })
  expect(Object.keys(answer)).toEqual(['id', 'object', 'created', 'model', 'choices', 'usage', 'system_fingerprint'])
})

test('auto of the Responses API drops the oldest turns, disabled none; auto as a tier leaves it to the server', async () => {
  await client.responses.create({ model: MODEL, input: 'hi', truncation: 'auto', service_tier: 'auto' })
  await client.responses.create({ model: MODEL, input: 'hi', truncation: 'disabled' })
  expect(calls.map(({ options }) => [options.truncation, options.tier])).toEqual([
    ['oldest-turns', 'default'],
    ['none', 'default'],
  ])
})
