/** The shipped model through the Bedrock dialect, against `inferd serve` as a user starts it. */
import {
  BedrockRuntimeClient,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  CountTokensCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdProcess } from '../e2e/inferd-process.ts'

const MODEL = 'inferd-chat'
const ASK: ConverseCommandInput = {
  modelId: MODEL,
  messages: [{ role: 'user', content: [{ text: 'Tell me a story about a fox.' }] }],
  inferenceConfig: { maxTokens: 24, temperature: 0.8 },
  additionalModelRequestFields: { seed: 11 },
}

let server: InferdProcess
let client: BedrockRuntimeClient

beforeAll(async () => {
  server = await (await InferdProcess.start('--ctx', '512')).ready()
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
  client = new BedrockRuntimeClient({ endpoint: server.baseUrl, region: 'us-east-1', maxAttempts: 1, credentials })
})

afterAll(async () => {
  client.destroy()
  await server[Symbol.asyncDispose]()
})

async function openaiText(): Promise<{ readonly text: string; readonly promptTokens: number; readonly outputTokens: number }> {
  const response = await fetch(`${server.baseUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: MODEL,
      messages: [{ role: 'user', content: 'Tell me a story about a fox.' }],
      max_tokens: 24,
      temperature: 0.8,
      seed: 11,
    }),
  })
  const { choices, usage } = (await response.json()) as {
    readonly choices: readonly { readonly message: { readonly content: string } }[]
    readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number }
  }
  return { text: choices[0]!.message.content, promptTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens }
}

test('says with one seed what the OpenAI route says, whole and streamed, and counts alike', async () => {
  const openai = await openaiText()
  const whole = await client.send(new ConverseCommand(ASK))
  const { stream } = await client.send(new ConverseStreamCommand(ASK))
  const events = await Array.fromAsync(stream!)
  const streamed = events.map(({ contentBlockDelta }) => contentBlockDelta?.delta?.text ?? '').join('')
  const usage = events.at(-1)!.metadata!.usage!
  expect(openai.text.length).toBeGreaterThan(0)
  expect(whole.output!.message!.content!.map(({ text }) => text).join('')).toBe(openai.text)
  expect(streamed).toBe(openai.text)
  for (const one of [whole.usage!, usage]) {
    expect([one.inputTokens! + one.cacheReadInputTokens! + one.cacheWriteInputTokens!, one.outputTokens]).toEqual([
      openai.promptTokens,
      openai.outputTokens,
    ])
    expect(one.totalTokens).toBe(openai.promptTokens + openai.outputTokens)
  }
  const { inputTokens } = await client.send(new CountTokensCommand({ modelId: MODEL, input: { converse: { messages: ASK.messages } } }))
  expect(inputTokens).toBe(openai.promptTokens)
})

test('calls the tool that it must call, with arguments of the schema', async () => {
  const toolConfig: ConverseCommandInput['toolConfig'] = {
    tools: [
      {
        toolSpec: {
          name: 'get_weather',
          inputSchema: { json: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } },
          strict: true,
        },
      },
    ],
    toolChoice: { tool: { name: 'get_weather' } },
  }
  const messages: ConverseCommandInput['messages'] = [{ role: 'user', content: [{ text: 'Weather in Rome?' }] }]
  const { output, stopReason } = await client.send(
    new ConverseCommand({ ...ASK, messages, toolConfig, inferenceConfig: { maxTokens: 100, temperature: 0 } }),
  )
  expect(stopReason).toBe('tool_use')
  const call = output!.message!.content!.find(({ toolUse }) => toolUse !== undefined)!.toolUse!
  expect([call.name, Object.keys(call.input as object)]).toEqual(['get_weather', ['city']])
  const turns: ConverseCommandInput['messages'] = [
    ...messages,
    output!.message!,
    { role: 'user', content: [{ toolResult: { toolUseId: call.toolUseId!, content: [{ json: { sky: 'clear' } }] } }] },
  ]
  const answer = await client.send(new ConverseCommand({ ...ASK, messages: turns, toolConfig: { tools: toolConfig!.tools! } }))
  expect(answer.usage!.inputTokens! + answer.usage!.cacheReadInputTokens!).toBeGreaterThan(0)
})

test('continues a text in the body of Llama, whole and streamed', async () => {
  const body = Buffer.from(JSON.stringify({ prompt: 'Once upon a time', max_gen_len: 16, temperature: 0 }))
  const whole = await client.send(new InvokeModelCommand({ modelId: MODEL, body }))
  const answer = JSON.parse(whole.body.transformToString()) as { readonly generation: string; readonly generation_token_count: number }
  const parts = await client.send(new InvokeModelWithResponseStreamCommand({ modelId: MODEL, body }))
  const chunks = (await Array.fromAsync(parts.body!)).map(
    ({ chunk }) => JSON.parse(Buffer.from(chunk!.bytes!).toString()) as { readonly generation: string },
  )
  expect(answer.generation_token_count).toBe(16)
  expect(chunks.map(({ generation }) => generation).join('')).toBe(answer.generation)
})

test('answers Anthropic and Titan bodies', async () => {
  const anthropic = Buffer.from(
    JSON.stringify({ anthropic_version: 'bedrock-2023-05-31', max_tokens: 8, messages: [{ role: 'user', content: 'Hello!' }] }),
  )
  const message = JSON.parse((await client.send(new InvokeModelCommand({ modelId: MODEL, body: anthropic }))).body.transformToString()) as object
  expect(message).toMatchObject({ type: 'message', model: MODEL })
  const titan = Buffer.from('{"inputText":"a fox","dimensions":16}')
  const { embedding } = JSON.parse((await client.send(new InvokeModelCommand({ modelId: MODEL, body: titan }))).body.transformToString()) as {
    readonly embedding: readonly number[]
  }
  expect(embedding).toHaveLength(16)
  expect(Math.hypot(...embedding)).toBeCloseTo(1, 5)
})

test('refuses a prompt that does not fit, with both numbers', async () => {
  const messages: ConverseCommandInput['messages'] = [{ role: 'user', content: [{ text: 'fox '.repeat(2000) }] }]
  await expect(client.send(new ConverseCommand({ ...ASK, messages }))).rejects.toMatchObject({
    name: 'ValidationException',
    message: expect.stringMatching(/messages: .*512.*20\d\d/) as string,
  })
})

test('87: a worker that is killed in mid-stream ends the stream with an exception, and the next call is answered', async () => {
  const { stream } = await client.send(new ConverseStreamCommand({ ...ASK, inferenceConfig: { maxTokens: 400, temperature: 1 } }))
  const seen: string[] = []
  const failure = await (async () => {
    for await (const event of stream!) {
      seen.push(Object.keys(event)[0]!)
      if (seen.length === 3) process.kill(server.workerPids()[0]!, 'SIGKILL')
    }
  })().catch((error: unknown) => error)
  expect(failure).toMatchObject({ name: 'ModelStreamErrorException', originalStatusCode: 424 })
  expect(seen).not.toContain('messageStop')
  await server.ready()
  expect((await client.send(new ConverseCommand(ASK))).stopReason).toBeDefined()
})
