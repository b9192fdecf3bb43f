/** The Responses API with the official OpenAI client: answers, chains, items, and what is kept of them. */
import OpenAI, { BadRequestError, NotFoundError } from 'openai'
import type { ResponseInputItem, ResponseStreamEvent } from 'openai/resources/responses/responses'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { StoredResponses } from '#platform/context/response-archive'
import { openStore, type Store } from '#platform/store/open-store'
import { NO_SERVICES } from '#server/services'
import { doActs, type FakeModel, sayWords } from './fake-model.ts'
import { rejection } from './openai-suite.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const MODEL = 'fake/model'
const TOOL = { type: 'function' as const, name: 'look', description: 'Looks.', parameters: { type: 'object' }, strict: false }

let store: Store
let target: TestServer
let model: FakeModel
let client: OpenAI

function clientOf(team: string): OpenAI {
  return new OpenAI({ baseURL: `${target.url}/v1`, apiKey: 'unused', maxRetries: 0, defaultHeaders: { 'x-team': team } })
}

beforeAll(async () => {
  store = await openStore({ file: null })
  const responses = new StoredResponses({ store, clock: systemClock, retentionMs: 86_400_000 })
  target = await startTestServer({
    services: { ...NO_SERVICES, responses },
    authenticate: async ({ headers }) => ({ ...LOCAL_PRINCIPAL, team: String(headers['x-team']) }),
  })
  model = target.model
  client = clientOf('red')
})

beforeEach(() => {
  model.script = sayWords(['Hello', ' ', 'wörld'])
  model.requests.length = 0
})

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
  await store.close()
})

function lastMessages(): unknown {
  const input = model.requests.at(-1)?.input
  return input?.kind === 'messages' ? input.messages : null
}

test('a text answer has one message, usage and the fields of the request', async () => {
  const response = await client.responses.create({ model: MODEL, input: 'hi', instructions: 'Be brief.', metadata: { a: 'b' }, temperature: 0.5 })
  expect(response.output_text).toBe('Hello wörld')
  expect(response).toMatchObject({
    object: 'response',
    status: 'completed',
    error: null,
    incomplete_details: null,
    instructions: 'Be brief.',
    metadata: { a: 'b' },
    temperature: 0.5,
    top_p: 1,
    store: true,
    truncation: 'disabled',
    tools: [],
    tool_choice: 'auto',
    parallel_tool_calls: true,
    text: { format: { type: 'text' }, verbosity: 'medium' },
    service_tier: 'default',
    usage: {
      input_tokens: 7,
      input_tokens_details: { cached_tokens: 2, cache_write_tokens: 0 },
      output_tokens: 3,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 10,
    },
    output: [{ type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'Hello wörld', annotations: [] }] }],
  })
  expect(response.id).toMatch(/^resp_/)
  expect(lastMessages()).toEqual([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'hi' },
  ])
})

test('a chain of responses brings the whole conversation, without the instructions before', async () => {
  const first = await client.responses.create({ model: MODEL, input: 'one', instructions: 'A.' })
  const second = await client.responses.create({ model: MODEL, input: 'two', previous_response_id: first.id, instructions: 'B.' })
  const third = await client.responses.create({ model: MODEL, input: 'three', previous_response_id: second.id })
  expect(third.previous_response_id).toBe(second.id)
  const said = { role: 'assistant', content: 'Hello wörld' }
  expect(lastMessages()).toEqual([{ role: 'user', content: 'one' }, said, { role: 'user', content: 'two' }, said, { role: 'user', content: 'three' }])
  await client.responses.delete(first.id)
  const failed = await rejection(client.responses.create({ model: MODEL, input: 'four', previous_response_id: third.id }))
  expect(failed).toBeInstanceOf(NotFoundError)
  expect(failed).toMatchObject({ status: 404, param: 'previous_response_id' })
})

test('a tool loop runs over kept responses, over sent items and over references to items', async () => {
  const call = { calls: [{ name: 'look', arguments: '{"a":1}' }], reasoning: 'hm' }
  model.script = doActs([call, { text: 'Seen.' }, { text: 'Seen.' }, { text: 'Seen.' }])
  const first = await client.responses.create({ model: MODEL, input: 'look', tools: [TOOL] })
  expect(first.output.map(({ type }) => type)).toEqual(['reasoning', 'function_call'])
  const made = first.output[1]
  if (made?.type !== 'function_call') throw new Error('no call')
  const output = { type: 'function_call_output' as const, call_id: made.call_id, output: 'a cat' }
  const expected = [
    { role: 'user', content: 'look' },
    { role: 'assistant', content: '', reasoning: 'hm', toolCalls: [{ id: made.call_id, name: 'look', arguments: '{"a":1}' }] },
    { role: 'tool', content: 'a cat', toolCallId: made.call_id, name: 'look' },
  ]
  const second = await client.responses.create({ model: MODEL, input: [output], tools: [TOOL], previous_response_id: first.id })
  expect(second.output_text).toBe('Seen.')
  expect(lastMessages()).toEqual(expected)
  await client.responses.create({
    model: MODEL,
    input: [{ role: 'user', content: 'look' }, ...(first.output as ResponseInputItem[]), output],
    tools: [TOOL],
  })
  expect(lastMessages()).toEqual(expected)
  const references = first.output.map(({ id }) => ({ type: 'item_reference' as const, id: String(id) }))
  await client.responses.create({ model: MODEL, input: [{ role: 'user', content: 'look' }, ...references, output], tools: [TOOL] })
  expect(lastMessages()).toEqual(expected)
})

test('a kept response is read, listed and deleted by its team, and does not exist for another', async () => {
  const made = await client.responses.create({
    model: MODEL,
    input: [
      { role: 'developer', content: 'Rules.' },
      { role: 'user', content: [{ type: 'input_text', text: 'a' }] },
    ],
  })
  const { output_text: _ours, ...wire } = made
  const { output_text: _theirs, ...read } = await client.responses.retrieve(made.id)
  expect(read).toEqual(wire)
  const items = await client.responses.inputItems.list(made.id, { order: 'asc', limit: 1 })
  expect(items.data).toMatchObject([{ type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'Rules.' }] }])
  const all: unknown[] = []
  for await (const item of client.responses.inputItems.list(made.id, { limit: 1 })) all.push('role' in item ? item.role : null)
  expect(all).toEqual(['user', 'developer'])
  const other = clientOf('blue')
  for (const attempt of [
    () => other.responses.retrieve(made.id),
    () => other.responses.delete(made.id),
    () => other.responses.cancel(made.id),
    () => other.responses.inputItems.list(made.id),
    () => other.responses.create({ model: MODEL, input: 'x', previous_response_id: made.id }),
    () => other.responses.create({ model: MODEL, input: [{ type: 'item_reference', id: made.output[0]!.id! }] }),
  ]) {
    expect(await rejection(attempt())).toMatchObject({ status: 404, code: 'not_found' })
  }
  expect(await client.responses.cancel(made.id).catch((error: unknown) => error)).toBeInstanceOf(BadRequestError)
  await client.responses.delete(made.id)
  expect(await rejection(client.responses.retrieve(made.id))).toMatchObject({ status: 404 })
})

test('with store false nothing is kept', async () => {
  const made = await client.responses.create({ model: MODEL, input: 'x', store: false })
  expect(made).toMatchObject({ store: false })
  expect(await rejection(client.responses.retrieve(made.id))).toMatchObject({ status: 404 })
})

test('a stream is the documented course of events, and ends with what is kept', async () => {
  model.script = doActs([{ reasoning: 'hmm', text: 'Wait', calls: [{ name: 'look', arguments: '{}' }] }])
  const events: ResponseStreamEvent[] = []
  for await (const event of await client.responses.create({ model: MODEL, input: 'x', tools: [TOOL], stream: true })) events.push(event)
  expect(events.map(({ sequence_number: number }) => number)).toEqual(events.map((_, index) => index))
  expect(events.map(({ type }) => type.replace('response.', ''))).toEqual([
    'created',
    'in_progress',
    'output_item.added',
    'content_part.added',
    'reasoning_text.delta',
    'reasoning_text.done',
    'content_part.done',
    'output_item.done',
    'output_item.added',
    'content_part.added',
    'output_text.delta',
    'output_text.delta',
    'output_text.done',
    'content_part.done',
    'output_item.done',
    'output_item.added',
    'function_call_arguments.delta',
    'function_call_arguments.done',
    'output_item.done',
    'completed',
  ])
  const last = events.at(-1)
  if (last?.type !== 'response.completed') throw new Error('not completed')
  const { output_text: _text, ...kept } = await client.responses.retrieve(last.response.id)
  expect(kept).toEqual(last.response)
})

test('the client puts a stream together by itself', async () => {
  const stream = client.responses.stream({ model: MODEL, input: 'x' })
  const texts: string[] = []
  stream.on('response.output_text.delta', ({ delta }) => texts.push(delta))
  const final = await stream.finalResponse()
  expect([texts.join(''), final.output_text, final.status]).toEqual(['Hello wörld', 'Hello wörld', 'completed'])
})

test('an answer that was cut is incomplete, with its reason', async () => {
  const cut = await client.responses.create({ model: MODEL, input: 'x', max_output_tokens: 1 })
  expect(cut).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' }, output: [{ status: 'incomplete' }] })
})

test('logprobs are those of the text alone', async () => {
  const response = await client.responses.create({ model: MODEL, input: 'x', include: ['message.output_text.logprobs'], top_logprobs: 2 })
  const [message] = response.output
  const [part] = message?.type === 'message' ? message.content : []
  expect(part?.type === 'output_text' ? part.logprobs?.map(({ token, top_logprobs: top }) => [token, top.length]) : null).toEqual([
    ['Hello', 2],
    [' ', 2],
    ['wörld', 2],
  ])
})

test('a summary of reasoning is the whole of it, in the events that clients show', async () => {
  model.script = doActs([{ reasoning: 'abc', text: 'd' }])
  const types: string[] = []
  const request = { model: MODEL, input: 'x', reasoning: { effort: 'low' as const, summary: 'auto' as const } }
  for await (const { type } of await client.responses.create({ ...request, stream: true })) types.push(type)
  expect(types.slice(3, 7)).toEqual([
    'response.reasoning_summary_part.added',
    'response.reasoning_summary_text.delta',
    'response.reasoning_summary_text.done',
    'response.reasoning_summary_part.done',
  ])
  expect(model.requests.at(-1)?.output.reasoning).toEqual({ enabled: true, effort: 'low', budgetTokens: 512 })
  const [item] = (await client.responses.create(request)).output
  expect(item).toMatchObject({ type: 'reasoning', summary: [{ type: 'summary_text', text: 'abc' }] })
})
