/** The official Anthropic client, unchanged, against a scripted model. */
import { createHash } from 'node:crypto'
import Anthropic, { APIError, AuthenticationError, BadRequestError, InternalServerError, NotFoundError, RateLimitError } from '@anthropic-ai/sdk'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type ErrorCode, ERRORS, InferdError } from '#contract/errors'
import { signThinking } from '#server/protocols/anthropic/thinking-signature'
import { doActs, type FakeModel, play, sayWords } from './fake-model.ts'
import { rejection } from './openai-suite.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const MODEL = 'fake/model'
const HI = { model: MODEL, max_tokens: 100, messages: [{ role: 'user' as const, content: 'hi' }] }
const WEATHER = { name: 'weather', description: 'The weather', input_schema: { type: 'object' as const, properties: { city: { type: 'string' } } } }

let target: TestServer
let client: Anthropic
let model: FakeModel

beforeAll(async () => {
  target = await startTestServer()
  client = new Anthropic({ baseURL: target.url, apiKey: 'unused', maxRetries: 0 })
  model = target.model
})

beforeEach(() => {
  model.script = sayWords(['Hello', ' ', 'wörld', ' 🦊'])
  model.requests.length = 0
})

afterAll(() => target.server.close({ graceMs: 0 }))

test('messages.create answers with text, reason and usage that leaves cached tokens out of input_tokens', async () => {
  const message = await client.messages.create(HI)
  expect(message).toMatchObject({
    type: 'message',
    role: 'assistant',
    model: MODEL,
    content: [{ type: 'text', text: 'Hello wörld 🦊', citations: null }],
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: { input_tokens: 5, cache_read_input_tokens: 2, cache_creation_input_tokens: 0, output_tokens: 4, service_tier: 'standard' },
  })
  expect(message.id).toMatch(/^msg_/)
  expect(message._request_id).toMatch(/^req/)
})

test('messages.stream accumulates to the message that create gives', async () => {
  const texts: string[] = []
  const stream = client.messages.stream(HI).on('text', (text) => texts.push(text))
  const final = await stream.finalMessage()
  expect(texts).toEqual(['Hello', ' ', 'wörld', ' 🦊'])
  const { id: _, ...streamed } = final
  const { id: __, ...whole } = await client.messages.create(HI)
  expect(streamed).toMatchObject({ ...whole, content: [{ type: 'text', text: 'Hello wörld 🦊' }] })
})

test('the raw events come in the documented order, with the documented bytes', async () => {
  model.script = play([
    { type: 'response-start', promptTokens: 9, cachedTokens: 4 },
    { type: 'text-delta', choice: 0, text: 'a\nb', logprobs: null },
    { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: 'END' },
    {
      type: 'response-end',
      usage: { promptTokens: 9, cachedTokens: 4, cacheWriteTokens: 3, completionTokens: 2, reasoningTokens: 0 },
    },
  ])
  const response = await fetch(`${target.url}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
    body: JSON.stringify({ ...HI, stream: true }),
  })
  const id = /"id":"(msg_-?\d+)"/.exec(await response.clone().text())?.[1] ?? ''
  const usage = (write: number, input: number, output: number, more = ''): string =>
    `"usage":{"input_tokens":${input},"cache_creation_input_tokens":${write},"cache_read_input_tokens":4,"output_tokens":${output},"output_tokens_details":{"thinking_tokens":0},"server_tool_use":null${more}}`
  const startUsage = usage(0, 5, 0, ',"cache_creation":null,"inference_geo":null,"service_tier":"standard","speed":null')
  expect(await response.text()).toBe(
    [
      'event: message_start',
      `data: {"type":"message_start","message":{"id":"${id}","type":"message","role":"assistant","model":"fake/model","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,"diagnostics":null,${startUsage}}}`,
      '',
      'event: content_block_start',
      'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"","citations":null}}',
      '',
      'event: content_block_delta',
      String.raw`data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\nb"}}`,
      '',
      'event: content_block_stop',
      'data: {"type":"content_block_stop","index":0}',
      '',
      'event: message_delta',
      `data: {"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"END","stop_details":null,"container":null},${usage(3, 2, 2)}}`,
      '',
      'event: message_stop',
      'data: {"type":"message_stop"}',
      '',
      '',
    ].join('\n'),
  )
})

test('tools: a call comes back parsed, its result goes in and the template sees both', async () => {
  model.script = doActs([{ text: 'Let me see.', calls: [{ name: 'weather', arguments: '{"city":"Paris"}' }] }, { text: 'It rains.' }])
  const first = await client.messages.create({ ...HI, tools: [WEATHER], tool_choice: { type: 'any', disable_parallel_tool_use: true } })
  expect(first.stop_reason).toBe('tool_use')
  const call = first.content.find((block) => block.type === 'tool_use')
  expect(call).toMatchObject({ name: 'weather', input: { city: 'Paris' } })
  expect(model.requests[0]?.output.tools).toMatchObject({ choice: 'required', parallel: false, definitions: [{ name: 'weather', strict: false }] })
  const second = await client.messages.create({
    ...HI,
    tools: [WEATHER],
    messages: [
      ...HI.messages,
      { role: 'assistant', content: first.content },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: call!.id, content: [{ type: 'text', text: 'rain' }], is_error: true },
          { type: 'text', text: 'And?' },
        ],
      },
    ],
  })
  expect(second.content).toEqual([{ type: 'text', text: 'It rains.', citations: null }])
  expect(model.requests[1]?.input).toEqual({
    kind: 'messages',
    messages: [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'Let me see.', toolCalls: [{ id: call!.id, name: 'weather', arguments: '{"city":"Paris"}' }] },
      { role: 'tool', content: 'Error: rain', toolCallId: call!.id, name: 'weather' },
      { role: 'user', content: 'And?' },
    ],
  })
})

test('tools: the input of a streamed call arrives in pieces that the client puts together', async () => {
  model.script = doActs([
    {
      calls: [
        { name: 'weather', arguments: '{"city":"Paris"}' },
        { name: 'weather', arguments: '{"city":"Rome"}' },
      ],
    },
  ])
  const final = await client.messages.stream({ ...HI, tools: [WEATHER] }).finalMessage()
  expect(final.content.map((block) => (block.type === 'tool_use' ? block.input : null))).toEqual([{ city: 'Paris' }, { city: 'Rome' }])
})

test('thinking: a signed block before the text, which is taken back unaltered and refused altered', async () => {
  model.script = doActs([{ reasoning: 'It is a greeting.', text: 'Hello.' }])
  const thinking = { type: 'enabled' as const, budget_tokens: 50 }
  const message = await client.messages.create({ ...HI, thinking })
  const signature = `inferd-thinking-1:${createHash('sha256').update('inferd-thinking-1:It is a greeting.').digest('base64')}`
  expect(message.content).toEqual([
    { type: 'thinking', thinking: 'It is a greeting.', signature },
    { type: 'text', text: 'Hello.', citations: null },
  ])
  expect((await client.messages.stream({ ...HI, thinking }).finalMessage()).content).toEqual(message.content)
  expect(model.requests[0]?.output.reasoning).toEqual({ enabled: true, effort: null, budgetTokens: 50 })
  const again = (text: string): Promise<Anthropic.Message> =>
    client.messages.create({
      ...HI,
      messages: [...HI.messages, { role: 'assistant', content: [{ type: 'thinking', thinking: text, signature }] }, ...HI.messages],
    })
  await again('It is a greeting.')
  expect(model.requests.at(-1)?.input).toMatchObject({ messages: [{}, { role: 'assistant', reasoning: 'It is a greeting.' }, {}] })
  expect(await rejection(again('It is an order.'))).toMatchObject({
    status: 400,
    message: expect.stringContaining('messages[1].content[0].signature') as string,
  })
})

test('thinking: assistant turns that are combined keep the thoughts of each', async () => {
  const turn = (thinking: string, text: string): Anthropic.MessageParam => ({
    role: 'assistant',
    content: [
      { type: 'thinking', thinking, signature: signThinking(thinking) },
      { type: 'text', text },
    ],
  })
  await client.messages.create({ ...HI, messages: [...HI.messages, turn('A', 'a'), turn('B', 'b'), ...HI.messages] })
  expect(model.requests[0]?.input).toMatchObject({ messages: [{}, { role: 'assistant', content: 'a\nb', reasoning: 'A\nB' }, {}] })
})

test('cache_control marks the message up to which the prompt is worth keeping', async () => {
  const cached = { type: 'ephemeral' as const, ttl: '1h' as const }
  await client.messages.create({
    ...HI,
    system: [
      { type: 'text', text: 'You are' },
      { type: 'text', text: 'brief.', cache_control: cached },
    ],
    messages: [{ role: 'user', content: [{ type: 'text', text: 'hi', cache_control: cached }] }],
  })
  expect(model.requests[0]?.input).toEqual({
    kind: 'messages',
    messages: [
      { role: 'system', content: 'You are\nbrief.', cachePoint: true },
      { role: 'user', content: 'hi', cachePoint: true },
    ],
  })
})

test('every parameter reaches the model', async () => {
  await client.messages.create({
    ...HI,
    system: 'Be brief.',
    // The newest types have dropped these; the API and older clients have not.
    ...({ temperature: 0.5, top_k: 10, top_p: 0.9 } as object),
    stop_sequences: ['END', '\n\nHuman:'],
    metadata: { user_id: 'u1' },
    service_tier: 'standard_only',
    output_config: { effort: 'low', format: { type: 'json_schema', schema: { type: 'object' } } },
  })
  expect(model.requests[0]).toMatchObject({
    sampling: { temperature: 0.5, topK: 10, topP: 0.9, seed: null },
    stopStrings: ['END', '\n\nHuman:'],
    maxTokens: 100,
    output: { format: { kind: 'json-schema', schema: { type: 'object' } }, reasoning: { effort: 'low' } },
  })
})

test('count_tokens asks the model', async () => {
  expect(await client.messages.countTokens({ model: MODEL, messages: HI.messages, tools: [WEATHER] })).toMatchObject({ input_tokens: 7 })
})

test('models have their own shape for clients that send anthropic-version, and OpenAI clients keep theirs', async () => {
  const page = await client.models.list()
  expect(page.data).toEqual([expect.objectContaining({ id: MODEL, type: 'model', display_name: MODEL, created_at: '2023-11-14T22:13:20.000Z' })])
  expect([page.has_more, page.first_id, page.last_id]).toEqual([false, MODEL, MODEL])
  expect(await client.models.retrieve(MODEL)).toMatchObject({ id: MODEL, type: 'model' })
  expect(await (await fetch(`${target.url}/v1/models`)).json()).toMatchObject({ object: 'list' })
})

const CLASSES: readonly (readonly [ErrorCode, number, string, new (...args: never[]) => APIError])[] = [
  ['context_length_exceeded', 400, 'invalid_request_error', BadRequestError],
  ['invalid_credentials', 401, 'authentication_error', AuthenticationError],
  ['budget_exceeded', 402, 'billing_error', APIError],
  ['model_not_found', 404, 'not_found_error', NotFoundError],
  ['rate_limited', 429, 'rate_limit_error', RateLimitError],
  ['overloaded', 529, 'overloaded_error', InternalServerError],
  ['model_loading', 529, 'overloaded_error', InternalServerError],
  ['deadline_exceeded', 504, 'timeout_error', InternalServerError],
  ['replica_lost', 500, 'api_error', InternalServerError],
  ['internal', 500, 'api_error', InternalServerError],
]

test.each(CLASSES)('%s has status %i and type %s, and the client retries it exactly when that can help', async (code, status, type, errorClass) => {
  const retrying = new Anthropic({ baseURL: target.url, apiKey: 'unused', maxRetries: 1 })
  for (const stream of [false, true]) {
    model.requests.length = 0
    model.script = () => ({
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new InferdError(code, 'said by the test', { retryAfterMs: 1 })) }),
    })
    const error = await rejection(retrying.messages.create({ ...HI, stream }, { timeout: 5000 }))
    expect(error).toBeInstanceOf(errorClass)
    expect(error).toMatchObject({ status, error: { type: 'error', error: { type, message: 'said by the test' } } })
    expect((error as APIError).requestID).toMatch(/^req/)
    expect(model.requests.length).toBe(ERRORS[code].retryable ? 2 : 1)
  }
})

test('an error after the first word is an error event without message_stop, and the client raises it', async () => {
  model.script = play([
    { type: 'response-start', promptTokens: 7, cachedTokens: 0 },
    { type: 'text-delta', choice: 0, text: 'Hel', logprobs: null },
    {
      type: 'response-error',
      error: { code: 'replica_lost', message: 'the worker died', param: null, retryAfterMs: null },
      usage: { promptTokens: 7, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 1, reasoningTokens: 0 },
    },
  ])
  const texts: string[] = []
  const error = await rejection(
    client.messages
      .stream(HI)
      .on('text', (text) => texts.push(text))
      .finalMessage(),
  )
  expect(texts).toEqual(['Hel'])
  expect(error).toMatchObject({ error: { type: 'error', error: { type: 'api_error', message: 'the worker died' } } })
})

test('a silent model is kept alive by ping events, and the client passes over them', async () => {
  const silence = Promise.withResolvers<void>()
  const silent = await startTestServer({ options: { heartbeatMs: 20 } })
  silent.model.script = async function* () {
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    yield { type: 'text-delta', choice: 0, text: 'a', logprobs: null }
    await silence.promise
    yield { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null }
    yield { type: 'response-end', usage: { promptTokens: 1, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 1, reasoningTokens: 0 } }
  }
  let wire = ''
  const watching: typeof fetch = async (url, init) => {
    const response = await fetch(url, init)
    const [seen, given] = response.body!.tee()
    void (async () => {
      for await (const bytes of seen) {
        wire += Buffer.from(bytes).toString()
        if (wire.includes('event: ping\ndata: {"type":"ping"}\n\n')) silence.resolve()
      }
    })()
    return new Response(given, response)
  }
  const final = await new Anthropic({ baseURL: silent.url, apiKey: 'unused', maxRetries: 0, fetch: watching }).messages.stream(HI).finalMessage()
  expect(final.content).toEqual([{ type: 'text', text: 'a', citations: null }])
  await silent.server.close({ graceMs: 0 })
})

/** body changes, the path that the refusal names */
const REFUSALS: readonly (readonly [Record<string, unknown>, string])[] = [
  [{ max_tokens: undefined }, 'max_tokens'],
  [{ max_tokens: 0 }, 'max_tokens'],
  [{ max_tokens: 1e12 }, 'max_tokens'],
  [{ temperature: 1.5 }, 'temperature'],
  [{ temperature: '1' }, 'temperature'],
  [{ top_k: -1 }, 'top_k'],
  [{ top_p: 0 }, 'top_p'],
  [{ messages: [] }, 'messages'],
  [{ messages: undefined }, 'messages'],
  [{ messages: [{ role: 'robot', content: 'x' }] }, 'messages[0].role'],
  [{ messages: [{ role: 'user' }] }, 'messages[0].content'],
  [{ messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] }, 'messages[0].content[0].type'],
  [{ messages: [{ role: 'user', content: [{ type: 'document', source: {} }] }] }, 'messages[0].content[0].type'],
  [{ messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 'x' }] }] }, 'messages[0].content[0].tool_use_id'],
  [
    {
      messages: [
        { role: 'user', content: 'x' },
        { role: 'assistant', content: 'y' },
      ],
    },
    'messages[1].role',
  ],
  [
    {
      messages: [
        { role: 'user', content: 'x' },
        { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'weather', input: {} }] },
        { role: 'user', content: 'no result' },
      ],
    },
    'messages[1].content',
  ],
  [{ stop_sequences: [' '] }, 'stop_sequences[0]'],
  [{ stop_sequences: Array(100).fill('x') }, 'stop_sequences'],
  [{ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools[0].type'],
  [{ tools: [{ name: 'a b', input_schema: { type: 'object' } }] }, 'tools[0].name'],
  [{ tools: [WEATHER, WEATHER] }, 'tools[1].name'],
  [{ tool_choice: { type: 'any' } }, 'tool_choice'],
  [{ tools: [WEATHER], tool_choice: { type: 'tool', name: 'other' } }, 'tool_choice.name'],
  [{ thinking: { type: 'enabled', budget_tokens: 100 } }, 'thinking.budget_tokens'],
  [{ thinking: { type: 'enabled' } }, 'thinking.budget_tokens'],
  [{ output_config: { format: { type: 'json_schema' } } }, 'output_config.format.schema'],
  [{ container: 'c' }, 'container'],
  [{ mcp_servers: [{ url: 'http://127.0.0.1' }] }, 'mcp_servers'],
  [{ service_tier: 'gold' }, 'service_tier'],
  [{ unheard_of: 1 }, 'unheard_of'],
]

test.each(REFUSALS)('%j is refused by the name of its field', async (change, path) => {
  const response = await fetch(`${target.url}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
    body: JSON.stringify({ ...HI, ...change }),
  })
  const body = (await response.json()) as { readonly error: { readonly type: string; readonly message: string } }
  expect([response.status, body.error.type]).toEqual([400, 'invalid_request_error'])
  expect(body.error.message).toContain(path)
  expect(model.requests).toEqual([])
})

test('bytes that are no request are told in the shape of the path', async () => {
  const send = async (body: string, headers: Record<string, string> = {}): Promise<readonly [number, unknown]> => {
    const response = await fetch(`${target.url}/v1/messages`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body })
    return [response.status, ((await response.json()) as { error: { type: string } }).error.type]
  }
  for (const body of ['', 'null', '[]', '"x"', '{"a":1', '{"model":"a","model":"b"}', `${'['.repeat(100)}`]) {
    expect(await send(body)).toEqual([400, 'invalid_request_error'])
  }
  expect(await send('{}', { 'content-type': 'text/plain' })).toEqual([415, 'invalid_request_error'])
  expect(await send(JSON.stringify({ ...HI, system: 'x'.repeat(5_000_000) }))).toEqual([413, 'request_too_large'])
})
