/** The official OpenAI client against a real server process and the shipped model: the suite for every server, then what needs an engine. */
import { setTimeout as sleep } from 'node:timers/promises'
import type OpenAI from 'openai'
import { BadRequestError, NotFoundError } from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadTokenizerFromGguf } from '#engine/tokenizers/load-tokenizer'
import { openModelFiles } from '#engine/weights/model-files'
import { InferdProcess } from '../e2e/inferd-process.ts'
import { collect, joinChunks, openAiClient, rejection, runOpenAiSuite } from './openai-suite.ts'

const MODEL = 'inferd-chat'
const MODEL_FILE = 'models/inferd-chat/inferd-chat-Q8_0.gguf'
const CAPITAL = [{ role: 'user' as const, content: 'What is the capital of France?' }]
const STORY = [{ role: 'user' as const, content: 'Tell me a short story about a fox.' }]
/** Of the engine's own fields, beside those of OpenAI. */
const NO_END = { ignore_eos: true }

let server: InferdProcess
let client: OpenAI

beforeAll(async () => {
  server = await (await InferdProcess.start('--log-level', 'warn')).ready()
  client = openAiClient(server.baseUrl)
})

afterAll(() => server[Symbol.asyncDispose]())

describe('any server', () => {
  runOpenAiSuite({ baseUrl: () => server.baseUrl, model: MODEL })
})

async function untilIdle(): Promise<void> {
  await expect.poll(async () => server.load(), { timeout: 5000 }).toMatchObject({ running: 0, waiting: 0 })
  const { kvBlocks, kvBlocksFree } = await server.load()
  expect(kvBlocksFree).toBe(kvBlocks)
}

test('a right answer, whole and streamed word by word', async () => {
  const whole = await client.chat.completions.create({ model: MODEL, messages: CAPITAL, temperature: 0 })
  expect(whole.choices[0]).toMatchObject({ message: { role: 'assistant', content: 'The capital of France is Paris.' }, finish_reason: 'stop' })
  const chunks = await collect(await client.chat.completions.create({ model: MODEL, messages: CAPITAL, temperature: 0, stream: true }))
  expect(joinChunks(chunks, 0).text).toBe('The capital of France is Paris.')
  expect(chunks.length).toBeGreaterThan(5)
})

test('a long prompt that comes again is taken from the cache, with the same answer, except under another salt', async () => {
  const messages = [{ role: 'user' as const, content: `${'The lazy dog sleeps in the sun. '.repeat(30)}What is the capital of France?` }]
  const ask = (extra: object = {}): Promise<OpenAI.ChatCompletion> =>
    client.chat.completions.create({ model: MODEL, messages, temperature: 0, max_tokens: 12, ...extra })
  const first = await ask({ cache_salt: 'eve' })
  const second = await ask({ cache_salt: 'eve' })
  const other = await ask({ cache_salt: 'mallory' })
  expect([first, other].map(({ usage }) => usage?.prompt_tokens_details?.cached_tokens)).toEqual([0, 0])
  expect(second.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(200)
  expect(second.usage?.prompt_tokens).toBe(first.usage?.prompt_tokens)
  expect(new Set([first, second, other].map(({ choices }) => choices[0]?.message.content)).size).toBe(1)
})

test('what cannot be done raises the class and names both numbers', async () => {
  const long = [{ role: 'user' as const, content: 'one two three four '.repeat(1000) }]
  for (const stream of [false, true]) {
    const error = await rejection(client.chat.completions.create({ model: MODEL, messages: long, stream }))
    expect(error).toBeInstanceOf(BadRequestError)
    expect(error).toMatchObject({ status: 400, code: 'context_length_exceeded', message: expect.stringMatching(/2048 tokens.* \d{4,}$/) as string })
  }
  expect(await rejection(client.chat.completions.create({ model: 'gpt-5', messages: CAPITAL }))).toBeInstanceOf(NotFoundError)
  expect(await rejection(client.chat.completions.create({ model: MODEL, messages: CAPITAL, n: 33 }))).toMatchObject({ status: 400, param: 'n' })
})

test('aborting a stream, or a call that is not streamed, frees its blocks', async () => {
  await untilIdle()
  const endless = { model: MODEL, messages: STORY, max_tokens: 1900, ...NO_END }
  const streams = await Promise.all(Array.from({ length: 4 }, () => client.chat.completions.create({ ...endless, stream: true })))
  const calls = Array.from({ length: 4 }, () => new AbortController())
  const failures = calls.map(({ signal }) => rejection(client.chat.completions.create(endless, { signal })))
  await expect.poll(async () => (await server.load()).running, { interval: 5, timeout: 5000 }).toBeGreaterThan(4)
  expect((await server.load()).kvBlocksFree).toBeLessThan((await server.load()).kvBlocks)
  streams.forEach((stream) => stream.controller.abort())
  calls.forEach((call) => call.abort())
  await untilIdle()
  expect((await Promise.all(failures)).every((error) => (error as Error).constructor.name === 'APIUserAbortError')).toBe(true)
})

test('sampled choices differ from each other and come again with their seed', async () => {
  const ask = (seed: number): Promise<OpenAI.ChatCompletion> =>
    client.chat.completions.create({ model: MODEL, messages: STORY, n: 4, seed, temperature: 1.5, max_tokens: 24 })
  const texts = ({ choices }: OpenAI.ChatCompletion): (string | null)[] => choices.map(({ message }) => message.content)
  const [first, again, other] = [await ask(7), await ask(7), await ask(1000)]
  expect(texts(first)).toEqual(texts(again))
  expect(new Set([...texts(first), ...texts(other)]).size).toBeGreaterThan(5)
  const chunks = await collect(
    await client.chat.completions.create({ model: MODEL, messages: STORY, n: 4, seed: 7, temperature: 1.5, max_tokens: 24, stream: true }),
  )
  expect([0, 1, 2, 3].map((choice) => joinChunks(chunks, choice).text)).toEqual(texts(first))
})

test('logprobs are those of the likeliest token at temperature 0, sorted, and spell the answer in bytes', async () => {
  const { choices } = await client.chat.completions.create({ model: MODEL, messages: CAPITAL, temperature: 0, logprobs: true, top_logprobs: 5 })
  const tokens = choices[0]?.logprobs?.content ?? []
  expect(Buffer.from(tokens.flatMap(({ bytes }) => bytes ?? [])).toString()).toBe('The capital of France is Paris.')
  for (const { token, logprob, top_logprobs } of tokens) {
    expect(top_logprobs[0]).toMatchObject({ token, logprob })
    expect(top_logprobs.map((top) => top.logprob)).toEqual(top_logprobs.map((top) => top.logprob).toSorted((a, b) => b - a))
    expect(top_logprobs.reduce((sum, top) => sum + Math.exp(top.logprob), 0)).toBeLessThanOrEqual(1.0001)
  }
})

test('a stop string ends the text before it, across token borders, whole and streamed', async () => {
  const request = { model: MODEL, messages: CAPITAL, temperature: 0, stop: ['nce is P', 'never'] }
  const { choices } = await client.chat.completions.create(request)
  expect(choices[0]).toMatchObject({ message: { content: 'The capital of Fra' }, finish_reason: 'stop' })
  const joined = joinChunks(await collect(await client.chat.completions.create({ ...request, stream: true })), 0)
  expect(joined).toMatchObject({ text: 'The capital of Fra', finishReasons: ['stop'] })
})

test('echo puts the prompt before the text that follows it', async () => {
  const request = { model: MODEL, prompt: 'Once upon a time', temperature: 0, max_tokens: 8 }
  const [plain, echoed] = [await client.completions.create(request), await client.completions.create({ ...request, echo: true })]
  expect(echoed.choices[0]?.text).toBe(`Once upon a time${plain.choices[0]?.text}`)
  expect(echoed.usage?.completion_tokens).toBe(plain.usage?.completion_tokens)
})

test('a prompt of token ids is answered as the text that they spell', async () => {
  const prompt = 'Once upon a time there was'
  const files = await openModelFiles(MODEL_FILE)
  await files.tensors.close()
  if (files.tokenizerSource.kind !== 'gguf') expect.unreachable('the shipped model is a GGUF file')
  const tokenIds = [...loadTokenizerFromGguf(files.tokenizerSource.values).encode(prompt, { parseSpecial: false, addSpecial: true })]
  const request = { model: MODEL, temperature: 0, max_tokens: 12 }
  const [asText, asTokens] = [
    await client.completions.create({ ...request, prompt }),
    await client.completions.create({ ...request, prompt: tokenIds, echo: true }),
  ]
  expect(asTokens.choices[0]?.text).toBe(`${prompt}${asText.choices[0]?.text}`)
  expect(asTokens.usage?.prompt_tokens).toBe(asText.usage?.prompt_tokens)
})

test('embeddings of equal texts are equal, alone and in a batch, and of length one; other texts are further away', async () => {
  const input = ['a red fox', 'a red fox', 'seven plus eight is fifteen']
  const { data } = await client.embeddings.create({ model: MODEL, input, encoding_format: 'float' })
  const alone = await client.embeddings.create({ model: MODEL, input: 'a red fox', encoding_format: 'float' })
  expect(data[1]?.embedding).toEqual(data[0]?.embedding)
  expect(alone.data[0]?.embedding).toEqual(data[0]?.embedding)
  for (const { embedding } of data) expect(Math.hypot(...embedding)).toBeCloseTo(1, 5)
  const similarity = data[0]!.embedding.reduce((sum, value, index) => sum + value * data[2]!.embedding[index]!, 0)
  expect(similarity).toBeLessThan(0.999)
})

test('fifty at once get the answers that they get alone', async () => {
  const questions = [
    'What is the capital of France?',
    'Tell me a short story about a fox.',
    'What is 2 + 3?',
    'Hello!',
    'What is the capital of Spain?',
  ]
  const ask = async (question: string, stream: boolean): Promise<string | null | undefined> => {
    const request = { model: MODEL, messages: [{ role: 'user' as const, content: question }], temperature: 0, max_tokens: 40 }
    if (stream) return joinChunks(await collect(await client.chat.completions.create({ ...request, stream: true })), 0).text
    return (await client.chat.completions.create(request)).choices[0]?.message.content
  }
  const alone: (string | null | undefined)[] = []
  for (const question of questions) alone.push(await ask(question, false))
  const together = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(questions[index % 5]!, index % 2 === 0)))
  expect(together).toEqual(together.map((_, index) => alone[index % 5]))
  await untilIdle()
})

test('a slow reader gets everything, and others do not wait for it', async () => {
  const stream = await client.chat.completions.create({
    model: MODEL,
    messages: STORY,
    temperature: 0,
    max_tokens: 300,
    ...NO_END,
    stream: true,
    stream_options: { include_usage: true },
  })
  let numChunks = 0
  let completionTokens = 0
  for await (const chunk of stream) {
    if (numChunks++ === 3) await sleep(300)
    completionTokens = chunk.usage?.completion_tokens ?? completionTokens
  }
  expect(completionTokens).toBe(300)
})
