/** The shipped model behind the Responses API and the truncation stage, with a real worker and a real store. */
import { fileURLToPath } from 'node:url'
import type OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { engineOptions } from '#cli/engine-options'
import { readConfig } from '#config/read-config'
import { ENGINE_SETTINGS } from '#config/schema'
import { DEFAULT_BACKGROUND_RUN_OPTIONS, DetachedRuns } from '#platform/context/background-runs'
import { StoredResponses } from '#platform/context/response-archive'
import { truncationStage } from '#platform/context/truncation-stage'
import { directModels } from '#platform/online/online-models'
import { ModelRegistry } from '#platform/registry/model-registry'
import { spawnWorker } from '#platform/replicas/worker-process'
import { openStore, type Store } from '#platform/store/open-store'
import { NO_SERVICES } from '#server/services'
import { openAiClient, rejection } from './openai-suite.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const MODEL = 'inferd-chat'
const MODEL_FILE = fileURLToPath(new URL('../../models/inferd-chat/inferd-chat-Q8_0.gguf', import.meta.url))
const CONTEXT = 256

const registry = new ModelRegistry()
let store: Store
let target: TestServer
let client: OpenAI

beforeAll(async () => {
  const engine = engineOptions(MODEL_FILE, readConfig(ENGINE_SETTINGS, { ctx: String(CONTEXT), threads: '1' }, {}))
  const model = registry.add(MODEL, { engine, hangTimeoutMs: 60_000, spawn: spawnWorker, clock: systemClock, onStateChange: () => {} })
  await model.whileLoading(new AbortController().signal)
  store = await openStore({ file: null })
  const direct = directModels(registry)
  const stage = truncationStage({
    countTokens: ({ principal, model: name }, request, signal) => direct.countTokens(principal, name, request, signal),
    contextLengthOf: ({ principal, model: name }) => {
      const state = direct.find(principal, name)?.state
      return state?.kind === 'ready' ? state.facts.contextLength : null
    },
  })
  const responses = new StoredResponses({ store, clock: systemClock, retentionMs: 86_400_000 })
  const background = new DetachedRuns({ ...DEFAULT_BACKGROUND_RUN_OPTIONS, clock: systemClock })
  const generate = stage((call, signal) => direct.generate(call, signal))
  target = await startTestServer({ models: registry, online: { ...direct, generate }, services: { ...NO_SERVICES, responses, background } })
  client = openAiClient(target.url)
})

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
  await registry.stop()
  await store.close()
})

const CAPITAL = 'What is the capital of France?'
const RIGHT = 'The capital of France is Paris.'

test('the same answer and the same tokens whole, streamed, in the background and from chat', async () => {
  const request = { model: MODEL, input: CAPITAL, temperature: 0 }
  const whole = await client.responses.create(request)
  expect(whole.output_text).toBe(RIGHT)
  const streamed = await client.responses.stream(request).finalResponse()
  const queued = await client.responses.create({ ...request, background: true })
  const isDone = async (): Promise<unknown> => (await client.responses.retrieve(queued.id)).status
  await expect.poll(isDone, { timeout: 10_000 }).toBe('completed')
  const later = await client.responses.retrieve(queued.id)
  const chat = await client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: CAPITAL }], temperature: 0 })
  expect([streamed.output_text, later.output_text, chat.choices[0]?.message.content]).toEqual([RIGHT, RIGHT, RIGHT])
  const numbers = [whole, streamed, later].map(({ usage }) => [usage?.input_tokens, usage?.output_tokens])
  expect(new Set([...numbers, [chat.usage?.prompt_tokens, chat.usage?.completion_tokens]].map(String)).size).toBe(1)
})

test('a chain is the conversation that it was', async () => {
  const first = await client.responses.create({ model: MODEL, input: CAPITAL, temperature: 0 })
  const second = await client.responses.create({ model: MODEL, input: 'And of Italy?', temperature: 0, previous_response_id: first.id })
  const chat = await client.chat.completions.create({
    model: MODEL,
    messages: [
      { role: 'user', content: CAPITAL },
      { role: 'assistant', content: RIGHT },
      { role: 'user', content: 'And of Italy?' },
    ],
    temperature: 0,
  })
  expect([second.output_text, second.usage?.input_tokens]).toEqual([chat.choices[0]?.message.content, chat.usage?.prompt_tokens])
})

test('tokens are counted before they are asked for, those of a chain too', async () => {
  const first = await client.responses.create({ model: MODEL, input: CAPITAL, instructions: 'Be brief.', temperature: 0 })
  const counted = await client.responses.inputTokens.count({ model: MODEL, input: CAPITAL, instructions: 'Be brief.' })
  expect(counted).toEqual({ object: 'response.input_tokens', input_tokens: first.usage?.input_tokens })
  const next = { model: MODEL, input: 'And of Italy?', previous_response_id: first.id }
  const { usage } = await client.responses.create({ ...next, temperature: 0 })
  expect((await client.responses.inputTokens.count(next)).input_tokens).toBe(usage?.input_tokens)
})

test('a schema is enforced and a function is called', async () => {
  const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false }
  const formatted = await client.responses.create({
    model: MODEL,
    input: CAPITAL,
    temperature: 0,
    max_output_tokens: 60,
    text: { format: { type: 'json_schema', name: 'city', schema, strict: true } },
  })
  if (formatted.status === 'completed') expect(Object.keys(JSON.parse(formatted.output_text) as object)).toEqual(['city'])
  const called = await client.responses.create({
    model: MODEL,
    input: 'What is the weather in Paris?',
    temperature: 0,
    tools: [{ type: 'function', name: 'get_weather', parameters: schema, strict: true }],
    tool_choice: { type: 'function', name: 'get_weather' },
  })
  const [call] = called.output.filter(({ type }) => type === 'function_call')
  expect(call).toMatchObject({ type: 'function_call', name: 'get_weather' })
})

const LONG = Array.from({ length: 24 }, (_, index) => [
  { role: 'user' as const, content: `Tell me fact number ${index} about the lazy dog and the sun.` },
  { role: 'assistant' as const, content: `Fact ${index}: the lazy dog sleeps in the sun all day long.` },
]).flat()

test.each(['oldest-turns', 'middle-out'] as const)('what is too long is refused, and answered with %s, which is told', async (truncation) => {
  const messages = [{ role: 'system' as const, content: 'Answer in one sentence.' }, ...LONG, { role: 'user' as const, content: CAPITAL }]
  const request = { model: MODEL, messages, temperature: 0, max_tokens: 32 }
  expect(await rejection(client.chat.completions.create(request))).toMatchObject({ status: 400, code: 'context_length_exceeded', param: 'messages' })
  const answer = (await client.chat.completions.create({ ...request, truncation } as typeof request)) as OpenAI.ChatCompletion & {
    inferd?: { truncation: { dropped_messages: number; prompt_tokens_after: number } }
  }
  const told = answer.inferd?.truncation
  expect(told?.prompt_tokens_after).toBe(answer.usage?.prompt_tokens)
  expect(told?.prompt_tokens_after).toBeLessThanOrEqual(CONTEXT - 32)
  expect(told?.dropped_messages).toBeGreaterThan(20)
  expect(Number(told?.dropped_messages) % 2).toBe(0)
  const responses = await client.responses.create({ model: MODEL, input: [...messages], temperature: 0, max_output_tokens: 32, truncation: 'auto' })
  expect(responses.usage?.input_tokens).toBeLessThanOrEqual(CONTEXT - 32)
})
