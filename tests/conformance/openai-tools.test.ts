/** The official OpenAI client's helpers for tools and structured output, against a scripted model. */
import OpenAI from 'openai'
import { LengthFinishReasonError } from 'openai/error'
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { type Act, doActs, type FakeModel } from './fake-model.ts'
import { collect, openAiClient, rejection } from './openai-suite.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const MODEL = 'fake/model'
const MESSAGES = [{ role: 'user' as const, content: 'what is the weather in Rome and Oslo?' }]
const Weather = z.object({ city: z.string(), celsius: z.number() })
const Query = z.object({ city: z.string() })
const ROME = { name: 'look', arguments: '{"city":"Rome"}' }
const OSLO = { name: 'look', arguments: '{"city": "Ösló"}' }
const TOOLS: OpenAI.ChatCompletionTool[] = [
  { type: 'function', function: { name: 'look', parameters: { type: 'object', properties: { city: { type: 'string' } } } } },
]

let target: TestServer
let client: OpenAI
let model: FakeModel

beforeAll(async () => {
  target = await startTestServer()
  client = openAiClient(target.url)
  model = target.model
})

beforeEach(() => {
  model.requests.length = 0
})

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
})

function act(...acts: Act[]): void {
  model.script = doActs(acts)
}

/** Not in the types of the client: the field is DeepSeek's. */
function thoughts(message: object | undefined): unknown {
  return message !== undefined && 'reasoning_content' in message ? message.reasoning_content : undefined
}

test('parse gives the object that zodResponseFormat asked for, and its schema reaches the model', async () => {
  act({ reasoning: 'so...', text: '{"city":"Rome","celsius":21.5}' })
  const completion = await client.chat.completions.parse({ model: MODEL, messages: MESSAGES, response_format: zodResponseFormat(Weather, 'weather') })
  expect(completion.choices[0]?.message.parsed).toEqual({ city: 'Rome', celsius: 21.5 })
  expect(completion.choices[0]?.finish_reason).toBe('stop')
  expect(model.requests[0]?.output.format).toMatchObject({
    kind: 'json-schema',
    whitespace: 'flexible',
    schema: { type: 'object', properties: { city: { type: 'string' }, celsius: { type: 'number' } }, required: ['city', 'celsius'] },
  })
})

test('parse gives the arguments of calls to a zodFunction, and its schema reaches the model as a strict one', async () => {
  act({ calls: [ROME, OSLO] })
  const tools = [zodFunction({ name: 'look', description: 'looks out of the window', parameters: Query })]
  const completion = await client.chat.completions.parse({ model: MODEL, messages: MESSAGES, tools })
  const calls = completion.choices[0]?.message.tool_calls ?? []
  expect(calls.map((call) => (call.type === 'function' ? call.function.parsed_arguments : null))).toEqual([{ city: 'Rome' }, { city: 'Ösló' }])
  expect(model.requests[0]?.output.tools).toMatchObject({
    definitions: [{ name: 'look', description: 'looks out of the window', strict: true, parameters: { properties: { city: { type: 'string' } } } }],
    choice: 'auto',
    parallel: true,
  })
})

test('an answer that was cut is a length error of the client, and its beginning is there', async () => {
  act({ calls: [ROME, { name: 'look', arguments: '{"city":"Os' }], cut: true })
  const { choices } = await client.chat.completions.create({ model: MODEL, messages: MESSAGES, tools: TOOLS })
  expect(choices[0]).toMatchObject({
    finish_reason: 'length',
    message: { content: null, tool_calls: [{ function: ROME }, { function: { arguments: '{"city":"Os' } }] },
  })
  const parsing = client.chat.completions.parse({ model: MODEL, messages: MESSAGES, tools: [zodFunction({ name: 'look', parameters: Query })] })
  expect(await rejection(parsing)).toBeInstanceOf(LengthFinishReasonError)
})

test('a message with calls has them whole, no content, and the reason tool_calls', async () => {
  act({ reasoning: 'I must look.', calls: [ROME] })
  const { choices, usage } = await client.chat.completions.create({ model: MODEL, messages: MESSAGES, tools: TOOLS })
  expect(choices).toEqual([
    {
      index: 0,
      message: {
        role: 'assistant',
        content: null,
        refusal: null,
        reasoning_content: 'I must look.',
        tool_calls: [{ id: 'call-1-0-0', type: 'function', function: ROME }],
      },
      logprobs: null,
      finish_reason: 'tool_calls',
    },
  ])
  expect(usage?.completion_tokens_details).toEqual({ reasoning_tokens: 4 })
})

test('a message with neither calls nor reasoning has neither field, and text beside calls stays', async () => {
  act({ text: 'Hello' }, { text: 'Wait.', calls: [ROME] }, {})
  const messages = []
  for (let turn = 0; turn < 3; turn++) messages.push((await client.chat.completions.create({ model: MODEL, messages: MESSAGES })).choices[0]?.message)
  expect(messages).toEqual([
    { role: 'assistant', content: 'Hello', refusal: null },
    { role: 'assistant', content: 'Wait.', refusal: null, tool_calls: [{ id: 'call-2-0-0', type: 'function', function: ROME }] },
    { role: 'assistant', content: '', refusal: null },
  ])
})

test('the chunks of two calls are those of OpenAI: role, head and arguments of each call, one reason', async () => {
  act({
    calls: [
      { name: 'a', arguments: '{"x":1}' },
      { name: 'b', arguments: '' },
    ],
  })
  const chunks = await collect(await client.chat.completions.create({ model: MODEL, messages: MESSAGES, tools: TOOLS, stream: true }))
  const head = (index: number, name: string): object => ({
    tool_calls: [{ index, id: `call-1-0-${index}`, type: 'function', function: { name, arguments: '' } }],
  })
  const piece = (index: number, text: string): object => ({ tool_calls: [{ index, function: { arguments: text } }] })
  expect(chunks.map(({ choices }) => [choices[0]?.delta, choices[0]?.finish_reason])).toEqual([
    [{ role: 'assistant', content: null, refusal: null }, null],
    [head(0, 'a'), null],
    [piece(0, '{"x'), null],
    [piece(0, '":1'), null],
    [piece(0, '}'), null],
    [head(1, 'b'), null],
    [{}, 'tool_calls'],
  ])
})

test('the chunks of reasoning and text: the role first, then the thoughts, then the content', async () => {
  act({ reasoning: 'hmmm', text: 'Yes.' })
  const chunks = await collect(await client.chat.completions.create({ model: MODEL, messages: MESSAGES, stream: true }))
  expect(chunks.map(({ choices }) => choices[0]?.delta)).toEqual([
    { role: 'assistant', content: null, refusal: null },
    { reasoning_content: 'hmm' },
    { reasoning_content: 'm' },
    { content: 'Yes' },
    { content: '.' },
    {},
  ])
})

test('the chunks of plain text are those of OpenAI, and an answer of nothing has empty content', async () => {
  const deltas = async (): Promise<unknown[]> => {
    const stream = await client.chat.completions.create({ model: MODEL, messages: MESSAGES, stream: true })
    return (await collect(stream)).map(({ choices }) => choices[0]?.delta)
  }
  const role = { role: 'assistant', content: '', refusal: null }
  act({ text: 'Yes.' }, {})
  expect(await deltas()).toEqual([role, { content: 'Yes' }, { content: '.' }, {}])
  expect(await deltas()).toEqual([role, {}])
})

test('the streaming helper puts calls together, tells when each is done, and parses what zod asked for', async () => {
  act({ text: 'Wait. ', calls: [ROME, OSLO] })
  const tools = [zodFunction({ name: 'look', parameters: Query })]
  const done: unknown[] = []
  const stream = client.chat.completions
    .stream({ model: MODEL, messages: MESSAGES, tools, stream_options: { include_usage: true } })
    .on('tool_calls.function.arguments.done', ({ index, name, parsed_arguments }) => done.push([index, name, parsed_arguments]))
  const { choices, usage } = await stream.finalChatCompletion()
  expect(done).toEqual([
    [0, 'look', { city: 'Rome' }],
    [1, 'look', { city: 'Ösló' }],
  ])
  expect(choices[0]?.finish_reason).toBe('tool_calls')
  expect(choices[0]?.message.content).toBe('Wait. ')
  expect(choices[0]?.message.tool_calls?.map((call) => [call.id, call.type === 'function' ? call.function.arguments : null])).toEqual([
    ['call-1-0-0', ROME.arguments],
    ['call-1-0-1', OSLO.arguments],
  ])
  expect(usage?.completion_tokens_details?.reasoning_tokens).toBe(0)
})

test('the streaming helper parses structured content', async () => {
  act({ text: '{"city":"Rome","celsius":21.5}' })
  const stream = client.chat.completions.stream({ model: MODEL, messages: MESSAGES, response_format: zodResponseFormat(Weather, 'weather') })
  expect((await stream.finalChatCompletion()).choices[0]?.message.parsed).toEqual({ city: 'Rome', celsius: 21.5 })
})

test('n choices have calls of their own, whole and streamed', async () => {
  const request = { model: MODEL, messages: MESSAGES, tools: TOOLS, n: 3 }
  act({ calls: [ROME] })
  const whole = await client.chat.completions.create(request)
  act({ calls: [ROME] })
  const streamed = await client.chat.completions.stream(request).finalChatCompletion()
  for (const { choices } of [whole, streamed]) {
    expect(choices.map(({ index, message }) => [index, message.tool_calls?.map(({ id }) => id)])).toEqual([
      [0, ['call-1-0-0']],
      [1, ['call-1-1-0']],
      [2, ['call-1-2-0']],
    ])
  }
})

test.each([false, true])('the tool runner calls the tools and sends their results back, stream %s', async (stream) => {
  act({ reasoning: 'look', calls: [ROME, OSLO] }, { text: 'Fine everywhere.' })
  const seen: string[] = []
  const tools = [
    zodFunction({
      name: 'look',
      parameters: Query,
      function: ({ city }) => {
        seen.push(city)
        return { city, celsius: 20 }
      },
    }),
  ]
  const params = { model: MODEL, messages: MESSAGES, tools }
  const runner = stream ? client.chat.completions.runTools({ ...params, stream: true }) : client.chat.completions.runTools(params)
  expect(await runner.finalContent()).toBe('Fine everywhere.')
  expect(new Set(seen)).toEqual(new Set(['Rome', 'Ösló']))
  expect(model.requests).toHaveLength(2)
  expect(model.requests[1]?.input).toEqual({
    kind: 'messages',
    messages: [
      { role: 'user', content: MESSAGES[0]?.content },
      {
        role: 'assistant',
        content: '',
        toolCalls: [
          { id: 'call-1-0-0', ...ROME },
          { id: 'call-1-0-1', ...OSLO },
        ],
      },
      { role: 'tool', toolCallId: 'call-1-0-0', name: 'look', content: '{"city":"Rome","celsius":20}' },
      { role: 'tool', toolCallId: 'call-1-0-1', name: 'look', content: '{"city":"Ösló","celsius":20}' },
    ],
  })
})

test.each(['required', { type: 'function' as const, function: { name: 'look' } }] as const)(
  'a forced call %j ends with the reason tool_calls, whole and streamed',
  async (tool_choice) => {
    act({ calls: [ROME] })
    const request = { model: MODEL, messages: MESSAGES, tools: TOOLS, tool_choice }
    expect((await client.chat.completions.create(request)).choices[0]?.finish_reason).toBe('tool_calls')
    expect((await client.chat.completions.stream(request).finalChatCompletion()).choices[0]?.finish_reason).toBe('tool_calls')
  },
)

test('a received message with reasoning can be sent back as it is', async () => {
  act({ reasoning: 'Let me see.', text: 'Sun.' })
  const [first] = (await client.chat.completions.create({ model: MODEL, messages: MESSAGES })).choices
  expect(thoughts(first?.message)).toBe('Let me see.')
  if (first === undefined) throw new RangeError('no choice')
  await client.chat.completions.create({ model: MODEL, messages: [...MESSAGES, first.message, { role: 'user', content: 'sure?' }] })
  expect(model.requests[1]?.input).toMatchObject({ messages: [{}, { role: 'assistant', content: 'Sun.', reasoning: 'Let me see.' }, {}] })
})
