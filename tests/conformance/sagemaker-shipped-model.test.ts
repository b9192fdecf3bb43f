/** SageMaker invocations of the shipped model, against `inferd serve` as a user starts it. */
import { InvokeEndpointCommand, InvokeEndpointWithResponseStreamCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdProcess } from '../e2e/inferd-process.ts'

let server: InferdProcess
let client: SageMakerRuntimeClient

beforeAll(async () => {
  server = await (await InferdProcess.start('--ctx', '256')).ready()
  client = new SageMakerRuntimeClient({
    endpoint: server.baseUrl,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
  })
})

afterAll(async () => {
  client.destroy()
  await server[Symbol.asyncDispose]()
})

async function invoke(body: object): Promise<unknown> {
  const request = { EndpointName: 'inferd-chat', ContentType: 'application/json', Body: Buffer.from(JSON.stringify(body)) }
  const { Body } = await client.send(new InvokeEndpointCommand(request))
  return JSON.parse(Buffer.from(Body ?? []).toString())
}

async function stream(body: object): Promise<Record<string, unknown>[]> {
  const request = { EndpointName: 'inferd-chat', ContentType: 'application/json', Body: Buffer.from(JSON.stringify(body)) }
  const { Body } = await client.send(new InvokeEndpointWithResponseStreamCommand(request))
  let text = ''
  for await (const event of Body ?? []) text += Buffer.from(event.PayloadPart?.Bytes ?? []).toString()
  const frames = text.split('\n\n').filter((frame) => frame.startsWith('data: {'))
  return frames.map((frame) => JSON.parse(frame.slice(6)) as Record<string, unknown>)
}

test('text generation: details and stream agree, token by token', async () => {
  const ask = { inputs: 'Once upon a time', parameters: { max_new_tokens: 24, seed: 11, temperature: 0.8, details: true } }
  const [whole] = (await invoke(ask)) as [
    { generated_text: string; details: { generated_tokens: number; finish_reason: string; tokens: { id: number }[] } },
  ]
  const frames = await stream({ ...ask, stream: true })
  const tokens = frames.slice(0, -1).map(({ token }) => token as { id: number; text: string })
  expect(whole.generated_text.length).toBeGreaterThan(0)
  expect(tokens.map(({ text }) => text).join('')).toBe(whole.generated_text)
  expect(tokens.flatMap(({ id }) => (id === null ? [] : [id]))).toEqual(whole.details.tokens.map(({ id }) => id))
  expect(frames.at(-1)).toMatchObject({
    generated_text: whole.generated_text,
    details: { finish_reason: whole.details.finish_reason, generated_tokens: whole.details.generated_tokens },
  })
})

test('chat says what the OpenAI route says', async () => {
  const body = { messages: [{ role: 'user', content: 'Tell me a story.' }], max_tokens: 24, seed: 3 }
  const enveloped = (await invoke(body)) as { choices: unknown; usage: { prompt_tokens: number; completion_tokens: number } }
  const response = await fetch(`${server.baseUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, model: 'inferd-chat' }),
  })
  const plain = (await response.json()) as typeof enveloped
  expect(enveloped.choices).toEqual(plain.choices)
  expect([enveloped.usage.prompt_tokens, enveloped.usage.completion_tokens]).toEqual([plain.usage.prompt_tokens, plain.usage.completion_tokens])
})

test('a grammar holds the text to its form', async () => {
  const grammar = { type: 'regex', value: '[a-c]{3}[0-9]' }
  expect(await invoke({ inputs: 'x', parameters: { max_new_tokens: 16, grammar } })).toMatchObject([
    { generated_text: expect.stringMatching(/^[a-c]{3}[0-9]$/) },
  ])
})
