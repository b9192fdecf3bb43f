/** InvokeModel and its stream with the native bodies of each family, by the official client. */
import {
  BedrockRuntimeClient,
  InvokeModelCommand,
  type InvokeModelCommandInput,
  type InvokeModelCommandOutput,
  InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FakeModel, sayWords } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const TEXT = 'Hello wörld 🦊'
const METRICS = { inputTokenCount: 5, outputTokenCount: 4, cacheReadInputTokenCount: 2, cacheWriteInputTokenCount: 0 }
const ANTHROPIC = { anthropic_version: 'bedrock-2023-05-31', max_tokens: 100, messages: [{ role: 'user', content: 'hi' }] }
const CHAT = { messages: [{ role: 'user', content: 'hi' }], max_tokens: 100 }
const LLAMA = { prompt: 'Once', max_gen_len: 100, temperature: 0.25, top_p: 0.75 }
const MISTRAL = { prompt: 'Once', max_tokens: 100, stop: ['END'], top_k: 3 }

type Body = Readonly<Record<string, unknown>>

let target: TestServer
let client: BedrockRuntimeClient
let model: FakeModel

beforeAll(async () => {
  target = await startTestServer()
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
  client = new BedrockRuntimeClient({ endpoint: target.url, region: 'us-east-1', maxAttempts: 1, credentials })
  model = target.model
})

beforeEach(() => {
  model.script = sayWords(['Hello', ' ', 'wörld', ' 🦊'])
  model.requests.length = 0
})

afterAll(async () => {
  client.destroy()
  await target.server.close({ graceMs: 0 })
})

function inputOf(body: Body, more: Partial<InvokeModelCommandInput>): InvokeModelCommandInput {
  return { modelId: 'fake/model', body: Buffer.from(JSON.stringify(body)), ...more }
}

async function invoke(
  body: Body,
  more: Partial<InvokeModelCommandInput> = {},
): Promise<{ readonly json: Body; readonly output: InvokeModelCommandOutput }> {
  const output = await client.send(new InvokeModelCommand(inputOf(body, more)))
  return { json: JSON.parse(output.body.transformToString()) as Body, output }
}

async function chunksOf(body: Body, more: Partial<InvokeModelCommandInput> = {}): Promise<readonly Body[]> {
  const output = await client.send(new InvokeModelWithResponseStreamCommand(inputOf(body, more)))
  expect(output.contentType).toBe('application/json')
  const parts = await Array.fromAsync(output.body!)
  const chunks = parts.map(({ chunk }) => JSON.parse(Buffer.from(chunk!.bytes!).toString()) as Body)
  expect(chunks.at(-1)!['amazon-bedrock-invocationMetrics']).toMatchObject(METRICS)
  expect(chunks.slice(0, -1).every((chunk) => !('amazon-bedrock-invocationMetrics' in chunk))).toBe(true)
  return chunks
}

/** As they are on the wire: the client keeps no unknown headers. */
async function headersOf(body: Body, headers: Readonly<Record<string, string>> = {}): Promise<Headers> {
  const response = await fetch(`${target.url}/model/fake%2Fmodel/invoke`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  })
  expect(response.status).toBe(200)
  return response.headers
}

describe('Anthropic', () => {
  test('answers with a message', async () => {
    const { json, output } = await invoke(ANTHROPIC, { contentType: 'application/json', accept: 'application/json' })
    expect(json).toMatchObject({
      type: 'message',
      role: 'assistant',
      model: 'fake/model',
      content: [{ type: 'text', text: TEXT }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 5, cache_read_input_tokens: 2, output_tokens: 4 },
    })
    expect(json['id']).toMatch(/^msg_bdrk_/)
    expect(output.contentType).toBe('application/json')
  })

  test('streams the events of a message', async () => {
    const chunks = await chunksOf(ANTHROPIC)
    expect(chunks.map(({ type }) => type)).toEqual([
      'message_start',
      'content_block_start',
      ...Array.from({ length: 4 }, () => 'content_block_delta'),
      'content_block_stop',
      'message_delta',
      'message_stop',
    ])
  })

  test.each([
    [{ ...ANTHROPIC, anthropic_version: 'vertex-2023-10-16' }, 'anthropic_version must be bedrock-2023-05-31'],
    [{ ...ANTHROPIC, anthropic_beta: ['computer-use'] }, 'anthropic_beta is not supported by this server'],
    [{ ...ANTHROPIC, model: 'fake/model' }, 'unrecognized argument: model'],
    [{ ...ANTHROPIC, stream: true }, 'unrecognized argument: stream'],
    [{ ...ANTHROPIC, messages: [{ role: 'user', content: [{ type: 'image' }] }] }, 'messages[0].content[0].type'],
  ])('refuses %o', async (body, message) => {
    await expect(invoke(body)).rejects.toMatchObject({ name: 'ValidationException', message: expect.stringContaining(message) as string })
  })
})

describe('chat of Mistral and OpenAI', () => {
  test('answers with a choice that has both stop reasons', async () => {
    const { json } = await invoke({ ...CHAT, model: 'fake/model', stream: false })
    expect(json['choices']).toMatchObject([{ index: 0, message: { role: 'assistant', content: TEXT }, stop_reason: 'stop', finish_reason: 'stop' }])
  })

  test('streams choices and ends with the usage', async () => {
    const chunks = await chunksOf(CHAT)
    const choices = chunks.flatMap((chunk) => chunk['choices'] as { readonly delta: { readonly content?: string }; readonly stop_reason?: string }[])
    expect(choices.map(({ delta }) => delta.content ?? '').join('')).toBe(TEXT)
    expect(choices.at(-1)!.stop_reason).toBe('stop')
  })

  test('takes `any` for a call that must be made', async () => {
    await invoke({ ...CHAT, tool_choice: 'any', tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }] })
    expect(model.requests[0]!.output.tools!.choice).toBe('required')
  })

  test('refuses a body that contradicts its path', async () => {
    await expect(invoke({ ...CHAT, model: 'other' })).rejects.toThrow('model is not the model of the path')
    await expect(invoke({ ...CHAT, stream: true })).rejects.toThrow('use InvokeModelWithResponseStream')
  })
})

describe('Llama', () => {
  test('answers with a generation', async () => {
    const { json } = await invoke(LLAMA)
    expect(json).toEqual({ generation: TEXT, prompt_token_count: 7, generation_token_count: 4, stop_reason: 'stop' })
    expect(model.requests[0]).toMatchObject({ input: { kind: 'text', text: 'Once' }, maxTokens: 100, sampling: { temperature: 0.25, topP: 0.75 } })
  })

  test('streams pieces: the prompt is counted in the first, the generation in the last', async () => {
    const whole = await chunksOf(LLAMA)
    expect(whole.map(({ generation }) => generation).join('')).toBe(TEXT)
    expect(whole[0]).toEqual({ generation: 'Hello', prompt_token_count: 7, generation_token_count: null, stop_reason: null })
    expect(whole.at(-1)).toMatchObject({ generation: '', prompt_token_count: null, generation_token_count: 4, stop_reason: 'stop' })
  })

  test('reads a prompt in the marks of a template as the conversation that it spells', async () => {
    const prompt = '<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi [INST<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n'
    await invoke({ prompt, max_gen_len: 9 })
    await invoke({ prompt: '<s>[INST] Hi [/INST]', max_tokens: 9 })
    expect(model.requests.map(({ input }) => input)).toEqual([
      { kind: 'messages', messages: [{ role: 'user', content: 'Hi [INST' }] },
      { kind: 'messages', messages: [{ role: 'user', content: 'Hi' }] },
    ])
  })

  test('has the defaults of its own API', async () => {
    await invoke({ prompt: 'Once' })
    expect(model.requests[0]).toMatchObject({ maxTokens: 512, sampling: { temperature: 0.5, topP: 0.9, topK: 0 } })
  })
})

describe('Mistral', () => {
  test('answers with outputs', async () => {
    expect((await invoke(MISTRAL)).json).toEqual({ outputs: [{ text: TEXT, stop_reason: 'stop' }] })
    expect(model.requests[0]).toMatchObject({ maxTokens: 100, stopStrings: ['END'], sampling: { topK: 3 } })
    expect((await invoke({ ...MISTRAL, max_tokens: 2 })).json).toEqual({ outputs: [{ text: 'Hello ', stop_reason: 'length' }] })
  })

  test('streams outputs', async () => {
    const chunks = await chunksOf(MISTRAL)
    const outputs = chunks.flatMap((chunk) => chunk['outputs'] as { readonly text: string; readonly stop_reason: string | null }[])
    expect(outputs.map(({ text }) => text).join('')).toBe(TEXT)
    expect(outputs.map(({ stop_reason }) => stop_reason)).toEqual([null, null, null, null, 'stop'])
  })
})

describe('Titan embeddings', () => {
  test('answers with one vector', async () => {
    const { json } = await invoke({ inputText: 'hi' })
    expect(json['inputTextTokenCount']).toBe(3)
    expect(json['embedding']).toHaveLength(8)
    expect(json['embeddingsByType']).toEqual({ float: json['embedding'] })
  })

  test('shortens vectors and keeps their length at 1', async () => {
    const { json } = await invoke({ inputText: 'hi', dimensions: 1, normalize: true, embeddingTypes: ['float', 'binary'] })
    expect(json).toMatchObject({ embedding: [1], embeddingsByType: { float: [1], binary: [1] } })
  })

  test.each([
    [{ inputText: 'hi', normalize: false }, 'normalize'],
    [{ inputText: 'hi', dimensions: 9 }, 'dimensions must be an integer from 1 to 8, got 9'],
    [{ inputText: '' }, 'inputText'],
    [{ inputText: 'hi', textGenerationConfig: {} }, 'textGenerationConfig'],
  ])('refuses %o', async (body, message) => {
    await expect(invoke(body)).rejects.toMatchObject({ name: 'ValidationException', message: expect.stringContaining(message) as string })
  })

  test('are no stream', async () => {
    await expect(chunksOf({ inputText: 'hi' })).rejects.toThrow('embeddings are no stream')
  })
})

test('every answer has its counts and its time in headers', async () => {
  for (const body of [ANTHROPIC, CHAT, LLAMA, MISTRAL]) {
    const headers = await headersOf(body)
    expect(headers.get('x-amzn-bedrock-input-token-count')).toBe('5')
    expect(headers.get('x-amzn-bedrock-output-token-count')).toBe('4')
    expect(headers.get('x-amzn-bedrock-cache-read-input-token-count')).toBe('2')
    expect(headers.get('x-amzn-bedrock-cache-write-input-token-count')).toBe('0')
    expect(headers.get('x-amzn-bedrock-invocation-latency')).toMatch(/^\d+$/)
  }
})

test('names tier and latency to who asked for them', async () => {
  const { output } = await invoke(LLAMA, { performanceConfigLatency: 'standard', serviceTier: 'reserved' })
  expect(output).toMatchObject({ performanceConfigLatency: 'standard', serviceTier: 'default' })
  await expect(invoke(LLAMA, { performanceConfigLatency: 'optimized' })).rejects.toThrow('no latency-optimized form')
})

test('a body of no known family is refused with the list of them', async () => {
  await expect(invoke({ input: 'hi' })).rejects.toMatchObject({
    name: 'ValidationException',
    message: expect.stringContaining('anthropic_version') as string,
  })
})
