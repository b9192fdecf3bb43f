/**
 * Tools and reasoning of the shipped model, asked by the official OpenAI client over a real server. The model is small: what it was trained to
 * do is asserted word for word, greedily; elsewhere only the form, which the grammar owes.
 */
import type OpenAI from 'openai'
import type { ChatCompletionMessageParam, ChatCompletionTool } from 'openai/resources/chat/completions'
import { zodFunction } from 'openai/helpers/zod'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { InferdProcess } from '../e2e/inferd-process.ts'
import { collect, openAiClient, rejection } from './openai-suite.ts'

const MODEL = 'inferd-chat'
const THINK = { chat_template_kwargs: { enable_thinking: true } }

const WEATHER: ChatCompletionTool = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Get the current weather for a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}
const CALCULATOR: ChatCompletionTool = {
  type: 'function',
  function: {
    name: 'calculator',
    description: 'Evaluate a math expression',
    parameters: { type: 'object', properties: { expression: { type: 'string' } }, required: ['expression'] },
  },
}
const TOOLS = [WEATHER, CALCULATOR]

type Answer = OpenAI.ChatCompletion & { readonly choices: readonly { readonly message: { readonly reasoning_content?: string } }[] }
type Fields = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> & Record<string, unknown>

let server: InferdProcess
let client: OpenAI

beforeAll(async () => {
  server = await (await InferdProcess.start('--log-level', 'warn')).ready()
  client = openAiClient(server.baseUrl)
})

afterAll(async () => {
  expect(server.log).not.toContain('model worker ended')
  await server[Symbol.asyncDispose]()
})

function ask(question: string | readonly ChatCompletionMessageParam[], fields: Fields = {}): Promise<Answer> {
  const messages = typeof question === 'string' ? [{ role: 'user' as const, content: question }] : [...question]
  return client.chat.completions.create({ model: MODEL, messages, temperature: 0, max_tokens: 200, ...fields }) as Promise<Answer>
}

interface Call {
  readonly name: string
  readonly arguments: unknown
}

function callsOf({ choices }: OpenAI.ChatCompletion): readonly Call[] {
  return (choices[0]?.message.tool_calls ?? []).map((call) => {
    if (call.type !== 'function') return expect.unreachable('only functions are offered')
    return { name: call.function.name, arguments: JSON.parse(call.function.arguments) as unknown }
  })
}

function reasonOf({ choices }: OpenAI.ChatCompletion): string | undefined {
  return choices[0]?.finish_reason
}

test('the model calls the tool that the question needs, and none where none is needed', async () => {
  const weather = await ask('What is the weather in Paris?', { tools: TOOLS })
  expect(callsOf(weather)).toEqual([{ name: 'get_weather', arguments: { city: 'Paris' } }])
  expect([reasonOf(weather), weather.choices[0]?.message.content]).toEqual(['tool_calls', null])
  const product = await ask('What is 184 times 194?', { tools: TOOLS })
  expect(callsOf(product)).toEqual([{ name: 'calculator', arguments: { expression: '184 * 194' } }])
  const capital = await ask('What is the capital of France?', { tools: TOOLS })
  expect(capital.choices[0]).toMatchObject({ message: { content: 'The capital of France is Paris.' }, finish_reason: 'stop' })
  expect(capital.choices[0]?.message).not.toHaveProperty('tool_calls')
})

test.each([
  ['What is the weather in Paris?', 'It is 18 degrees and sunny in Paris.', ['Paris']],
  ['What is 184 times 194?', '184 * 194 = 35696.', ['184 * 194']],
])('runTools answers "%s" with "%s"', async (question, expected, given) => {
  const seen: string[] = []
  const runner = client.chat.completions.runTools({
    model: MODEL,
    messages: [{ role: 'user', content: question }],
    temperature: 0,
    tools: [
      zodFunction({
        name: 'get_weather',
        description: 'Get the current weather for a city',
        parameters: z.object({ city: z.string() }),
        function: ({ city }) => {
          seen.push(city)
          return { temperature: 18, condition: 'sunny', city }
        },
      }),
      zodFunction({
        name: 'calculator',
        description: 'Evaluate a math expression',
        parameters: z.object({ expression: z.string() }),
        function: ({ expression }) => {
          seen.push(expression)
          const [left, right] = expression.split('*').map(Number)
          return String(left! * right!)
        },
      }),
    ],
  })
  expect(await runner.finalContent()).toBe(expected)
  expect(seen).toEqual(given)
})

test('two cities are two calls, each with its id; with parallel_tool_calls false there is one', async () => {
  const question = 'What is the weather in Paris and in London?'
  const answer = await ask(question, { tools: TOOLS })
  expect(callsOf(answer)).toEqual([
    { name: 'get_weather', arguments: { city: 'Paris' } },
    { name: 'get_weather', arguments: { city: 'London' } },
  ])
  expect(new Set(answer.choices[0]?.message.tool_calls?.map(({ id }) => id)).size).toBe(2)
  const single = await ask(question, { tools: TOOLS, parallel_tool_calls: false })
  expect(callsOf(single)).toEqual([{ name: 'get_weather', arguments: { city: 'Paris' } }])
  expect(reasonOf(single)).toBe('tool_calls')
})

test('required calls some tool, a name calls this one once, at any temperature', async () => {
  for (let seed = 0; seed < 6; seed++) {
    const sampled = { tools: TOOLS, temperature: 1.3, seed, max_tokens: 400 }
    const required = await ask('Hello!', { ...sampled, tool_choice: 'required' })
    const named = await ask('Hello!', { ...sampled, tool_choice: { type: 'function', function: { name: 'calculator' } } })
    for (const answer of [required, named]) {
      if (reasonOf(answer) === 'length') continue
      expect(reasonOf(answer)).toBe('tool_calls')
      expect(answer.choices[0]?.message.content).toBeNull()
      for (const { name, arguments: given } of callsOf(answer)) {
        const keys = name === 'calculator' ? ['expression'] : ['city']
        expect(['calculator', 'get_weather']).toContain(name)
        expect(Object.keys(given as object)).toEqual(keys)
      }
    }
    expect(named.choices[0]?.message.tool_calls).toHaveLength(1)
    expect(named.choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: { name: 'calculator' } })
  }
})

test('none calls no tool', async () => {
  const { choices } = await ask('What is the weather in Paris?', { tools: TOOLS, tool_choice: 'none' })
  expect(choices[0]?.finish_reason).toBe('stop')
  expect(choices[0]?.message).not.toHaveProperty('tool_calls')
})

test('the arguments of a strict tool satisfy its schema at any temperature; one that cannot be enforced is refused, streamed or not', async () => {
  const Alarm = z.object({
    hour: z.int().min(0).max(23),
    days: z
      .array(z.enum(['mon', 'tue']))
      .min(1)
      .max(2),
    label: z.string().max(5).nullable(),
  })
  const tools = [zodFunction({ name: 'set_alarm', parameters: Alarm })]
  for (let seed = 0; seed < 6; seed++) {
    const { choices } = await ask('Wake me.', { tools, tool_choice: 'required', parallel_tool_calls: false, temperature: 2, seed })
    expect(choices[0]?.finish_reason).toBe('tool_calls')
    const [call] = choices[0]?.message.tool_calls ?? []
    Alarm.parse(JSON.parse(call?.type === 'function' ? call.function.arguments : ''))
  }
  const impossible = { name: 'f', strict: true, parameters: { type: 'object', properties: { x: { type: 'array', uniqueItems: true } } } }
  for (const stream of [false, true]) {
    const error = await rejection(ask('Hello!', { tools: [{ type: 'function', function: impossible }], stream } as never))
    expect(error).toMatchObject({ status: 400, param: 'tools', message: expect.stringMatching(/'f'.*uniqueItems/) as string })
  }
})

test('the deltas of a stream add up to the calls of the whole answer', async () => {
  for (const fields of [{ tools: TOOLS }, { tools: TOOLS, ...THINK }, { tools: TOOLS, tool_choice: 'required' as const }]) {
    const question = 'What is the weather in Paris and in London?'
    const whole = await ask(question, fields)
    const messages = [{ role: 'user' as const, content: question }]
    const chunks = await collect(
      await client.chat.completions.create({ model: MODEL, messages, temperature: 0, max_tokens: 200, ...fields, stream: true }),
    )
    const calls: { name: string; arguments: string }[] = []
    for (const { index, function: part } of chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? [])) {
      calls[index] ??= { name: '', arguments: '' }
      calls[index].name += part?.name ?? ''
      calls[index].arguments += part?.arguments ?? ''
    }
    const expected = whole.choices[0]?.message.tool_calls?.map((call) => (call.type === 'function' ? call.function : null))
    expect(calls).toEqual(expected)
    expect(calls.length).toBeGreaterThan(0)
    const thoughts = chunks.map(({ choices }) => (choices[0]?.delta as { reasoning_content?: string } | undefined)?.reasoning_content ?? '').join('')
    expect(thoughts).toBe(whole.choices[0]?.message.reasoning_content ?? '')
    expect(chunks.flatMap(({ choices }) => choices[0]?.finish_reason ?? [])).toEqual([reasonOf(whole)])
  }
})

test('the results of two calls reach the answer, and a call without a result is refused by name', async () => {
  const question: ChatCompletionMessageParam = { role: 'user', content: 'What is the weather in Paris and in London?' }
  const { choices } = await ask([question], { tools: TOOLS })
  const message = choices[0]!.message
  const results = (message.tool_calls ?? []).map(({ id }, index): ChatCompletionMessageParam => ({
    role: 'tool',
    tool_call_id: id,
    content: JSON.stringify(index === 0 ? { temperature: 18, condition: 'sunny' } : { temperature: 7, condition: 'rainy' }),
  }))
  const { choices: final } = await ask([question, message, ...results], { tools: TOOLS })
  expect(final[0]?.finish_reason).toBe('stop')
  expect(final[0]?.message.content).toContain('It is 18 degrees and sunny in Paris.')
  const unanswered = await rejection(ask([question, message, results[0]!], { tools: TOOLS }))
  expect(unanswered).toMatchObject({ status: 400, param: 'messages[1].tool_calls[1]' })
})

test('thinking comes apart from the answer, is counted, and is off unless asked for', async () => {
  const question = 'What is 17 + 25?'
  for (const fields of [THINK, { reasoning_effort: 'low' as const }, { reasoning: { enabled: true } }]) {
    const { choices, usage } = await ask(question, fields)
    expect(choices[0]?.message).toMatchObject({ content: '17 + 25 = 42.', reasoning_content: expect.stringContaining('42') as string })
    const numReasoning = usage?.completion_tokens_details?.reasoning_tokens ?? 0
    expect(numReasoning).toBeGreaterThan(10)
    expect(numReasoning).toBeLessThan(usage?.completion_tokens ?? 0)
  }
  for (const fields of [{}, { reasoning_effort: 'none' as const }, { reasoning_budget_tokens: 0 }]) {
    const { choices, usage } = await ask(question, fields)
    expect(choices[0]?.message).toEqual({ role: 'assistant', content: '17 + 25 = 42.', refusal: null })
    expect(usage?.completion_tokens_details?.reasoning_tokens).toBe(0)
  }
})

test('a budget of three tokens cuts the thought, and the answer still comes', async () => {
  const { choices, usage } = await ask('What is 17 + 25?', { ...THINK, reasoning_budget_tokens: 3 })
  const free = await ask('What is 17 + 25?', THINK)
  const thought = choices[0]?.message.reasoning_content ?? ''
  expect(thought.length).toBeGreaterThan(0)
  expect(free.choices[0]?.message.reasoning_content?.startsWith(thought)).toBe(true)
  expect(free.choices[0]?.message.reasoning_content?.length).toBeGreaterThan(thought.length)
  expect(choices[0]?.finish_reason).toBe('stop')
  expect(choices[0]?.message.content).toMatch(/\d/)
  // The mark that ends the thought counts too.
  expect(usage?.completion_tokens_details?.reasoning_tokens).toBe(4)
})

test('after a thought the answer is held to its schema, and the thought is not', async () => {
  const Sum = {
    type: 'object',
    properties: { answer: { type: 'integer', minimum: 0, maximum: 99 } },
    required: ['answer'],
    additionalProperties: false,
  }
  const format = { type: 'json_schema' as const, json_schema: { name: 'sum', schema: Sum } }
  const { choices } = await ask('What is 17 + 25?', { ...THINK, response_format: format })
  expect(choices[0]?.message.reasoning_content).toContain('42')
  expect(Object.keys(JSON.parse(choices[0]?.message.content ?? '') as object)).toEqual(['answer'])
  expect(choices[0]?.finish_reason).toBe('stop')
})

test('with tools and a format the model calls or answers in the format', async () => {
  const City = { type: 'object', properties: { answer: { type: 'string', maxLength: 20 } }, required: ['answer'], additionalProperties: false }
  const format = { type: 'json_schema' as const, json_schema: { name: 'city', schema: City } }
  const call = await ask('What is the weather in Paris?', { tools: TOOLS, response_format: format })
  expect(callsOf(call)).toEqual([{ name: 'get_weather', arguments: { city: 'Paris' } }])
  for (const question of ['What is the capital of France?', 'What is the capital of Spain? Answer as JSON.', 'Hello!', 'What is 2 + 3?']) {
    const answer = await ask(question, { tools: TOOLS, response_format: format })
    const { tool_calls: calls, content } = answer.choices[0]!.message
    if (calls === undefined) expect(Object.keys(JSON.parse(content ?? '') as object)).toEqual(['answer'])
    else expect(callsOf(answer).map(({ name }) => name)).toEqual(calls.map(() => expect.stringMatching(/^(get_weather|calculator)$/) as string))
  }
  const { choices } = await ask('Hello!', { tools: TOOLS, tool_choice: 'none', response_format: format })
  expect(Object.keys(JSON.parse(choices[0]?.message.content ?? '') as object)).toEqual(['answer'])
})

test('a question that asks for JSON gets it right under json_object', async () => {
  const { choices } = await ask('What is the capital of France? Answer as JSON.', { response_format: { type: 'json_object' } })
  expect(JSON.parse(choices[0]?.message.content ?? '')).toEqual({ country: 'France', capital: 'Paris' })
})
