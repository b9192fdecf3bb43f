/**
 * What any server of ours owes the official OpenAI client, whatever model stands behind it. Call it inside a `describe` with an
 * address: the fake-model server runs it in this folder, a real one may run it elsewhere. Every request is greedy.
 */
import OpenAI, { BadRequestError, NotFoundError } from 'openai'
import type { ChatCompletionChunk, ChatCompletionCreateParamsNonStreaming } from 'openai/resources/chat/completions'
import { expect, test } from 'vitest'

export interface OpenAiSuiteArguments {
  /** Read when a test runs, so that a `beforeAll` may start the server. Without `/v1`. */
  readonly baseUrl: () => string
  readonly model: string
  readonly hasEmbeddings?: boolean
}

export function openAiClient(baseUrl: string): OpenAI {
  return new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: 'unused', maxRetries: 0 })
}

export function runOpenAiSuite(suite: OpenAiSuiteArguments): void {
  runModelTests(suite)
  runChatTests(suite)
  runCompletionTests(suite)
  runResponseTests(suite)
  runRefusalTests(suite)
  if (suite.hasEmbeddings ?? true) runEmbeddingTests(suite)
}

/** One choice put together from its chunks. */
export interface JoinedChoice {
  readonly role: string | undefined
  readonly text: string
  readonly tokens: readonly string[]
  readonly finishReasons: readonly string[]
}

export function joinChunks(chunks: readonly ChatCompletionChunk[], index: number): JoinedChoice {
  const choices = chunks.flatMap((chunk) => chunk.choices.filter((choice) => choice.index === index))
  return {
    role: choices[0]?.delta.role,
    text: choices.map((choice) => choice.delta.content ?? '').join(''),
    tokens: choices.flatMap((choice) => (choice.logprobs?.content ?? []).map(({ token }) => token)),
    finishReasons: choices.flatMap((choice) => (choice.finish_reason === null ? [] : [choice.finish_reason])),
  }
}

function runModelTests({ baseUrl, model }: OpenAiSuiteArguments): void {
  test('models.list holds the model and models.retrieve gives the same record', async () => {
    const client = openAiClient(baseUrl())
    const listed = (await client.models.list()).data.find(({ id }) => id === model)
    expect(listed).toMatchObject({ id: model, object: 'model' })
    expect(await client.models.retrieve(model)).toEqual(listed)
  })
}

function runChatTests({ baseUrl, model }: OpenAiSuiteArguments): void {
  const request: ChatCompletionCreateParamsNonStreaming = {
    model,
    messages: [
      { role: 'system', content: 'Answer in one word.' },
      { role: 'user', content: [{ type: 'text', text: 'What is the capital of France?' }] },
    ],
    temperature: 0,
    max_completion_tokens: 8,
  }

  test('a chat stream and a chat answer have equal text, finish reason and usage', async () => {
    const client = openAiClient(baseUrl())
    const whole = await client.chat.completions.create(request)
    const chunks = await collect(await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } }))
    const joined = joinChunks(chunks, 0)
    expect(joined).toMatchObject({ role: 'assistant', text: whole.choices[0]?.message.content, finishReasons: [whole.choices[0]?.finish_reason] })
    const last = chunks.at(-1)
    expect(last?.choices).toEqual([])
    expect(tokenCounts(last?.usage)).toEqual(tokenCounts(whole.usage))
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true)
    expect(new Set(chunks.map(({ id, created }) => `${id} ${created}`)).size).toBe(1)
  })

  test('without include_usage no chunk has usage', async () => {
    const chunks = await collect(await openAiClient(baseUrl()).chat.completions.create({ ...request, stream: true }))
    expect(chunks.filter((chunk) => 'usage' in chunk)).toEqual([])
  })

  test('usage adds up', async () => {
    const { usage } = await openAiClient(baseUrl()).chat.completions.create(request)
    expect(usage?.total_tokens).toBe((usage?.prompt_tokens ?? 0) + (usage?.completion_tokens ?? 0))
    expect(usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThanOrEqual(0)
  })

  test('n choices arrive whole and streamed with their own index', async () => {
    const client = openAiClient(baseUrl())
    const whole = await client.chat.completions.create({ ...request, n: 3 })
    const chunks = await collect(await client.chat.completions.create({ ...request, n: 3, stream: true }))
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2])
    for (const { index, message } of whole.choices) expect(joinChunks(chunks, index).text).toBe(message.content)
  })

  test('logprobs spell the text, with the number of alternatives that was asked for', async () => {
    const client = openAiClient(baseUrl())
    const whole = await client.chat.completions.create({ ...request, logprobs: true, top_logprobs: 2 })
    const tokens = whole.choices[0]?.logprobs?.content ?? []
    expect(tokens.length).toBeGreaterThan(0)
    for (const { logprob, top_logprobs } of tokens) {
      expect(logprob).toBeLessThanOrEqual(0)
      expect(top_logprobs).toHaveLength(2)
    }
    const chunks = await collect(await client.chat.completions.create({ ...request, logprobs: true, top_logprobs: 2, stream: true }))
    expect(joinChunks(chunks, 0).tokens).toEqual(tokens.map(({ token }) => token))
  })
}

function runCompletionTests({ baseUrl, model }: OpenAiSuiteArguments): void {
  test('a text stream and a text answer are equal, prompt by prompt', async () => {
    const client = openAiClient(baseUrl())
    const request = { model, prompt: ['The quick brown', 'Once upon a time'], n: 2, temperature: 0, max_tokens: 6 }
    const whole = await client.completions.create(request)
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3])
    const chunks = await collect(await client.completions.create({ ...request, stream: true, stream_options: { include_usage: true } }))
    for (const { index, text, finish_reason } of whole.choices) {
      const parts = chunks.flatMap((chunk) => chunk.choices.filter((choice) => choice.index === index))
      expect(parts.map((part) => part.text).join('')).toBe(text)
      expect(parts.at(-1)?.finish_reason).toBe(finish_reason)
    }
    expect(tokenCounts(chunks.at(-1)?.usage)).toEqual(tokenCounts(whole.usage))
  })

  test('echo repeats the prompt at the head of the text', async () => {
    const { choices } = await openAiClient(baseUrl()).completions.create({
      model,
      prompt: 'The quick brown',
      echo: true,
      temperature: 0,
      max_tokens: 2,
    })
    expect(choices[0]?.text.startsWith('The quick brown')).toBe(true)
  })

  test('completion logprobs are parallel arrays', async () => {
    const { choices } = await openAiClient(baseUrl()).completions.create({
      model,
      prompt: 'The quick brown',
      logprobs: 1,
      temperature: 0,
      max_tokens: 3,
    })
    const logprobs = choices[0]?.logprobs
    const numTokens = logprobs?.tokens?.length ?? 0
    expect(numTokens).toBeGreaterThan(0)
    expect([logprobs?.token_logprobs?.length, logprobs?.top_logprobs?.length, logprobs?.text_offset?.length]).toEqual([
      numTokens,
      numTokens,
      numTokens,
    ])
  })
}

function runResponseTests({ baseUrl, model }: OpenAiSuiteArguments): void {
  const request = { model, input: 'What is the capital of France?', temperature: 0, max_output_tokens: 32, store: false }

  test('a response says the same whole, as a stream and as chat', async () => {
    const client = openAiClient(baseUrl())
    const whole = await client.responses.create(request)
    const streamed = await client.responses.stream(request).finalResponse()
    const messages = [{ role: 'user' as const, content: request.input }]
    const chat = await client.chat.completions.create({ model, messages, temperature: 0, max_completion_tokens: 32 })
    expect(whole.output_text).not.toBe('')
    expect([streamed.output_text, chat.choices[0]?.message.content]).toEqual([whole.output_text, whole.output_text])
    expect(streamed.usage?.output_tokens).toBe(whole.usage?.output_tokens)
    expect(whole.usage?.input_tokens).toBe(chat.usage?.prompt_tokens)
  })

  test('the input tokens of a response are counted without it', async () => {
    const client = openAiClient(baseUrl())
    const { usage } = await client.responses.create(request)
    expect((await client.responses.inputTokens.count({ model, input: request.input })).input_tokens).toBe(usage?.input_tokens)
  })
}

function runRefusalTests({ baseUrl, model }: OpenAiSuiteArguments): void {
  const messages = [{ role: 'user' as const, content: 'hi' }]

  test('a bad value raises BadRequestError with its param, whole and streamed', async () => {
    for (const stream of [false, true]) {
      const failed = openAiClient(baseUrl()).chat.completions.create({ model, messages, temperature: 3, stream })
      const error = await rejection(failed)
      expect(error).toBeInstanceOf(BadRequestError)
      expect(error).toMatchObject({ status: 400, param: 'temperature', type: 'invalid_request_error' })
    }
  })

  test('an unknown model raises NotFoundError with model_not_found', async () => {
    const error = await rejection(openAiClient(baseUrl()).chat.completions.create({ model: 'no/such/model', messages }))
    expect(error).toBeInstanceOf(NotFoundError)
    expect(error).toMatchObject({ code: 'model_not_found', param: 'model' })
  })
}

function runEmbeddingTests({ baseUrl, model }: OpenAiSuiteArguments): void {
  test('embeddings are unit vectors, equal as base64 (the default of the client) and as floats', async () => {
    const client = openAiClient(baseUrl())
    const byDefault = await client.embeddings.create({ model, input: ['one', 'two'] })
    const asFloats = await client.embeddings.create({ model, input: ['one', 'two'], encoding_format: 'float' })
    expect(byDefault.data.map(({ index }) => index)).toEqual([0, 1])
    for (const { index, embedding } of asFloats.data) {
      const decoded = byDefault.data[index]?.embedding ?? []
      expect(decoded).toHaveLength(embedding.length)
      for (const [position, value] of embedding.entries()) expect(decoded[position]).toBeCloseTo(value, 5)
      expect(Math.hypot(...embedding)).toBeCloseTo(1, 4)
    }
    expect(byDefault.usage.total_tokens).toBe(byDefault.usage.prompt_tokens)
  })

  test('dimensions cut a vector and keep its length one', async () => {
    const { data } = await openAiClient(baseUrl()).embeddings.create({ model, input: 'one', dimensions: 2, encoding_format: 'float' })
    expect(data[0]?.embedding).toHaveLength(2)
    expect(Math.hypot(...(data[0]?.embedding ?? []))).toBeCloseTo(1, 4)
  })
}

/** Prompt tokens may come from the cache on the second call: only the counts that cannot change are compared. */
function tokenCounts(usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | null | undefined): object {
  return { prompt: usage?.prompt_tokens, completion: usage?.completion_tokens, total: usage?.total_tokens }
}

export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of stream) items.push(item)
  return items
}

export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('expected a rejection')
}
