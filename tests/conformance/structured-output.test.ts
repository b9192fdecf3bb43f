/** The official OpenAI client asks a real server and the shipped model for structured output. The model knows no JSON: what is valid here is the grammar's work. */
import type OpenAI from 'openai'
import { BadRequestError } from 'openai'
import { LengthFinishReasonError } from 'openai/error'
import { zodResponseFormat } from 'openai/helpers/zod'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { loadTokenizerFromGguf } from '#engine/tokenizers/load-tokenizer'
import { openModelFiles } from '#engine/weights/model-files'
import { InferdProcess } from '../e2e/inferd-process.ts'
import { collect, joinChunks, openAiClient, rejection } from './openai-suite.ts'

type Schema = Record<string, unknown>
type Fields = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> & Schema

const MODEL = 'inferd-chat'
const MESSAGES = [{ role: 'user' as const, content: 'What is the capital of France?' }]
/** The tokens that JSON strings and lists end with are liked more, so that answers at a high temperature end before the limit. */
let closing: Record<string, number>

const Order = z.object({
  id: z.int().min(1).max(999),
  status: z.enum(['open', 'paid', 'größer als ¥']),
  note: z.string().max(10).nullable(),
  lines: z
    .array(z.object({ sku: z.string().regex(/^[A-Z]{2}[0-9]{2}$/), count: z.int().min(1).max(9) }))
    .min(1)
    .max(2),
  by: z.union([
    z.object({ kind: z.literal('person'), name: z.string().max(8) }),
    z.object({ kind: z.literal('robot'), version: z.int().min(0).max(9) }),
  ]),
})
const orderFormat = zodResponseFormat(Order, 'order')

let server: InferdProcess
let client: OpenAI

beforeAll(async () => {
  server = await (await InferdProcess.start('--log-level', 'warn', '--ctx', '1024')).ready()
  client = openAiClient(server.baseUrl)
  closing = Object.fromEntries((await idsOf(['"', '"}', '"]', '}', ']', '",', '":'])).map((id) => [String(id), 12]))
})

afterAll(async () => {
  expect(server.log).not.toContain('model worker ended')
  await server[Symbol.asyncDispose]()
})

/** Ids of tokens, as choices that have only one spelling name them. */
async function idsOf(texts: readonly string[]): Promise<readonly number[]> {
  const files = await openModelFiles('models/inferd-chat/inferd-chat-Q8_0.gguf')
  await files.tensors.close()
  if (files.tokenizerSource.kind !== 'gguf') return expect.unreachable('the shipped model is a GGUF file')
  const tokenizer = loadTokenizerFromGguf(files.tokenizerSource.values)
  return texts.flatMap((text) => {
    const ids = tokenizer.encode(text, { parseSpecial: false, addSpecial: false })
    return ids.length === 1 ? [...ids] : []
  })
}

function ask(fields: Fields): Promise<OpenAI.ChatCompletion> {
  return client.chat.completions.create({
    model: MODEL,
    messages: MESSAGES,
    max_tokens: 300,
    seed: 5,
    temperature: 1.5,
    logit_bias: closing,
    ...fields,
  })
}

async function textOf(fields: Fields): Promise<string> {
  const { choices } = await ask(fields)
  expect(choices[0]?.finish_reason).toBe('stop')
  return choices[0]?.message.content ?? ''
}

function schemaFormat(schema: Schema): OpenAI.ResponseFormatJSONSchema {
  return { type: 'json_schema', json_schema: { name: 'answer', schema } }
}

async function expectIdle(): Promise<void> {
  await expect.poll(() => server.load(), { timeout: 10_000 }).toMatchObject({ running: 0, waiting: 0 })
  const { kvBlocks, kvBlocksFree } = await server.load()
  expect(kvBlocksFree).toBe(kvBlocks)
}

test('parse gives the nested object of a zod schema: arrays, enums, null and unions', async () => {
  const kinds = new Set<string>()
  for (let seed = 0; seed < 8; seed++) {
    const request = { model: MODEL, messages: MESSAGES, max_tokens: 400, seed, temperature: 1.5, logit_bias: closing, response_format: orderFormat }
    const { choices } = await client.chat.completions.parse(request)
    const parsed = choices[0]?.message.parsed
    expect(Order.parse(parsed)).toEqual(parsed)
    kinds.add(parsed?.by.kind ?? '')
  }
  expect(kinds).toEqual(new Set(['person', 'robot']))
})

test('the streaming helper sees the same object as the answer that is not streamed, and partial ones before it', async () => {
  const request = { model: MODEL, messages: MESSAGES, max_tokens: 400, seed: 3, temperature: 1.5, logit_bias: closing, response_format: orderFormat }
  const whole = await client.chat.completions.parse(request)
  const stream = client.chat.completions.stream(request)
  let numPartial = 0
  stream.on('content.delta', ({ parsed }) => {
    if (parsed !== null && parsed !== undefined) numPartial++
  })
  const final = await stream.finalChatCompletion()
  expect(final.choices[0]?.message.parsed).toEqual(whole.choices[0]?.message.parsed)
  expect(final.choices[0]?.message.content).toBe(whole.choices[0]?.message.content)
  expect(numPartial).toBeGreaterThan(5)
})

test('an answer that its limit cut raises the length error of the client, and is the beginning of the whole one', async () => {
  const request = { model: MODEL, messages: MESSAGES, seed: 3, temperature: 1.5, logit_bias: closing, response_format: orderFormat }
  expect(await rejection(client.chat.completions.parse({ ...request, max_tokens: 20 }))).toBeInstanceOf(LengthFinishReasonError)
  const [cut, whole] = [await ask({ ...request, max_tokens: 20 }), await ask({ ...request, max_tokens: 400 })]
  expect(cut.choices[0]?.finish_reason).toBe('length')
  expect(cut.usage?.completion_tokens).toBe(20)
  // The limit may fall into a code point.
  const beginning = cut.choices[0]?.message.content?.replace(/\uFFFD$/, '') ?? '-'
  expect(whole.choices[0]?.message.content?.slice(0, beginning.length)).toBe(beginning)
})

test('every choice of n is valid, whole and streamed, and they differ', async () => {
  const whole = await ask({ n: 4, response_format: orderFormat })
  const texts = whole.choices.map(({ message }) => message.content ?? '')
  for (const text of texts) Order.parse(JSON.parse(text))
  expect(new Set(texts).size).toBe(4)
  const request = {
    model: MODEL,
    messages: MESSAGES,
    max_tokens: 300,
    seed: 5,
    temperature: 1.5,
    logit_bias: closing,
    n: 4,
    response_format: orderFormat,
  }
  const chunks = await collect(await client.chat.completions.create({ ...request, stream: true }))
  expect(texts.map((_, index) => joinChunks(chunks, index))).toMatchObject(texts.map((text) => ({ text, finishReasons: ['stop'] })))
})

test('a seed gives the same answer again, another seed another one', async () => {
  const [first, again, other] = [
    await textOf({ response_format: orderFormat, seed: 11 }),
    await textOf({ response_format: orderFormat, seed: 11 }),
    await textOf({ response_format: orderFormat, seed: 12 }),
  ]
  expect(again).toBe(first)
  expect(other).not.toBe(first)
})

test('json_object gives an object, whatever is in it', async () => {
  for (let seed = 0; seed < 4; seed++) {
    const { choices } = await ask({ response_format: { type: 'json_object' }, seed, temperature: 1.2 })
    const text = choices[0]?.message.content ?? ''
    expect(text).toMatch(/^\{/)
    if (choices[0]?.finish_reason === 'stop') expect(JSON.parse(text)).toBeTypeOf('object')
  }
})

test.each<[string, Fields, RegExp]>([
  ['guided_regex', { guided_regex: '[A-C]{3}-\\d{2,4}(x|é)' }, /^[A-C]{3}-\d{2,4}(x|é)$/],
  ['a regex format', { response_format: { type: 'regex', pattern: 'v\\d+\\.\\d' } as never }, /^v\d+\.\d$/],
  ['structured_outputs.regex', { structured_outputs: { regex: '(ja|nein), (ja|nein)' } }, /^(ja|nein), (ja|nein)$/],
  ['guided_choice', { guided_choice: ['red', 'green', 'reddish'] }, /^(red|green|reddish)$/],
  ['structured_outputs.choice', { structured_outputs: { choice: ['東京', '京都'] } }, /^(東京|京都)$/],
  ['grammar', { grammar: 'root ::= ("ab" | "cd"){1,9} "!"' }, /^(ab|cd){1,9}!$/],
  ['guided_grammar', { guided_grammar: 'root ::= pair\npair ::= "<" inner? ">"\ninner ::= "<>" | "é" | "ê"' }, /^<(<>|é|ê)?>$/],
  ['a grammar format', { response_format: { type: 'grammar', grammar: 'root ::= [a-c]{2,3}' } as never }, /^[a-c]{2,3}$/],
  ['guided_json', { guided_json: { enum: ['x', 7, null] } }, /^("x"|7|null)$/],
  ['guided_json as text', { guided_json: '{"type":"boolean"}' }, /^(true|false)$/],
  ['json_schema', { json_schema: { const: { a: [1, 'b'] } } }, /^\{\s*"a":\s*\[\s*1,\s*"b"\s*\]\s*\}$/],
  ['structured_outputs.json', { structured_outputs: { json: { const: { a: [1, 'b'] } }, disable_any_whitespace: true } }, /^\{"a":\[1,"b"\]\}$/],
])('%s holds the text to what it says, in chat and in text completions, whole and streamed', async (_, fields, expected) => {
  for (let seed = 0; seed < 3; seed++) {
    const text = await textOf({ ...fields, seed })
    expect(text).toMatch(expected)
    const request = { model: MODEL, prompt: 'Once upon a time', max_tokens: 300, seed, temperature: 1.5, ...(fields as object) }
    expect((await client.completions.create(request)).choices[0]?.text).toMatch(expected)
    const streamed = {
      model: MODEL,
      messages: MESSAGES,
      max_tokens: 300,
      seed,
      temperature: 1.5,
      logit_bias: closing,
      ...fields,
      stream: true as const,
    }
    expect(joinChunks(await collect(await client.chat.completions.create(streamed)), 0).text).toBe(text)
  }
})

test('logprobs beside a schema are of every token, and spell the answer', async () => {
  const { choices, usage } = await ask({ response_format: orderFormat, logprobs: true, top_logprobs: 3 })
  const tokens = choices[0]?.logprobs?.content ?? []
  expect(Buffer.from(tokens.flatMap(({ bytes }) => bytes ?? [])).toString()).toBe(choices[0]?.message.content)
  Order.parse(JSON.parse(choices[0]?.message.content ?? ''))
  for (const { logprob, top_logprobs } of tokens) {
    expect(logprob).toBeLessThanOrEqual(0)
    expect(Number.isFinite(logprob)).toBe(true)
    expect(top_logprobs).toHaveLength(3)
  }
  expect(tokens.length).toBeLessThanOrEqual(usage?.completion_tokens ?? 0)
})

test('a stop string ends a structured answer before it', async () => {
  const { choices } = await ask({ response_format: schemaFormat({ const: { name: 'Ada', city: 'Rome' } }), stop: ['"city'] })
  expect(choices[0]?.finish_reason).toBe('stop')
  expect(choices[0]?.message.content).toMatch(/^\{\s*"name":\s*"Ada",\s*$/)
})

test('neither ignore_eos, nor min_tokens, nor a bias against it all leads out of a format', async () => {
  const against = Object.fromEntries(Array.from({ length: 1000 }, (_, id) => [String(id), -100]))
  const forever = { guided_choice: ['red', 'green'], ignore_eos: true, min_tokens: 50 }
  expect(['red', 'green']).toContain(await textOf(forever))
  expect(['red', 'green']).toContain(await textOf({ guided_choice: ['red', 'green'], logit_bias: against }))
})

test('sixteen clients with different schemas at once get what each gets alone', async () => {
  const fields = (index: number): Fields => ({
    seed: index,
    response_format: schemaFormat({
      type: 'object',
      properties: { [`key${index}`]: { type: 'integer', minimum: index, maximum: index + 3 }, text: { type: 'string', maxLength: 6 } },
      required: [`key${index}`, 'text'],
      additionalProperties: false,
    }),
  })
  const together = await Promise.all(Array.from({ length: 16 }, (_, index) => textOf(fields(index))))
  for (const [index, text] of together.entries()) {
    const value = (JSON.parse(text) as Record<string, number>)[`key${index}`]!
    expect([index, index + 1, index + 2, index + 3]).toContain(value)
    expect(await textOf({ ...fields(index), cache_salt: 'alone' })).toBe(text)
  }
})

test('an abort in the middle of a structured answer, or while its grammar is compiled, frees everything', async () => {
  const endless = schemaFormat({ type: 'object', properties: { text: { type: 'string', minLength: 5000 } }, required: ['text'] })
  const request = { model: MODEL, messages: MESSAGES, max_tokens: 900, response_format: endless }
  const streams = await Promise.all(Array.from({ length: 6 }, () => client.chat.completions.create({ ...request, stream: true })))
  for (const stream of streams) {
    let numChunks = 0
    for await (const _ of stream) if (++numChunks === 5) break
  }
  const compiling = Array.from({ length: 6 }, (_, index) => {
    const controller = new AbortController()
    const format = schemaFormat({ enum: Array.from({ length: 500 }, (__, value) => `value ${index * 7919 + value}`) })
    const answer = rejection(client.chat.completions.create({ ...request, response_format: format }, { signal: controller.signal }))
    return { controller, answer }
  })
  await Promise.resolve()
  compiling.forEach(({ controller }) => controller.abort())
  await Promise.all(compiling.map(({ answer }) => answer))
  await expectIdle()
  expect(await textOf({ guided_choice: ['yes'] })).toBe('yes')
})

test.each<[string, Fields, string, RegExp]>([
  [
    'a keyword that is not enforced',
    { response_format: schemaFormat({ type: 'array', uniqueItems: true }) },
    'response_format',
    /uniqueItems.*\/uniqueItems/,
  ],
  [
    'a keyword deep inside',
    { guided_json: { type: 'object', properties: { a: { $dynamicRef: '#x' } } } },
    'guided_json',
    /dynamicRef.*\/properties\/a/,
  ],
  [
    'a schema that nothing satisfies',
    { structured_outputs: { json: { type: 'integer', minimum: 3, maximum: 2 } } },
    'structured_outputs.json',
    /no value/,
  ],
  ['a pattern', { guided_regex: '(?<=a)b' }, 'guided_regex', /look-around/],
  ['a pattern of structured_outputs', { structured_outputs: { regex: '(' } }, 'structured_outputs.regex', /./],
  ['a grammar', { grammar: 'root ::= missing' }, 'grammar', /missing/],
  ['a choice twice', { guided_choice: ['a', 'a'] }, 'guided_choice', /same/],
  ['two formats', { guided_regex: 'a', response_format: { type: 'json_object' } }, 'guided_regex', /both/],
])('%s is refused by name with status 400, streamed or not', async (_, fields, param, message) => {
  for (const stream of [false, true]) {
    const error = await rejection(client.chat.completions.create({ model: MODEL, messages: MESSAGES, ...fields, stream } as never))
    expect(error).toBeInstanceOf(BadRequestError)
    expect(error).toMatchObject({ status: 400, code: 'invalid_parameter', param, type: 'invalid_request_error' })
    expect((error as Error).message).toMatch(message)
    const text = { model: MODEL, prompt: 'x', ...(fields as object), stream }
    expect(await rejection(client.completions.create(text as never))).toMatchObject({ status: 400, param })
  }
  const raw = await server.post('/v1/chat/completions', { model: MODEL, messages: MESSAGES, ...fields, stream: true })
  expect([raw.status, raw.headers.get('content-type')?.split(';')[0]]).toEqual([400, 'application/json'])
  expect(raw.headers.get('x-should-retry')).toBe('false')
})
