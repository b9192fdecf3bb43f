/** The same client suite, and what only a real engine can show, against `inferd serve` as a user starts it. */
import { setTimeout as delay } from 'node:timers/promises'
import { BadRequestError } from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { InferdProcess } from '../e2e/inferd-process.ts'
import { openAiClient, rejection, runOpenAiSuite } from './openai-suite.ts'

const MODEL = 'inferd-chat'

let server: InferdProcess

beforeAll(async () => {
  server = await (await InferdProcess.start('--ctx', '256')).ready()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

describe('the shipped model', () => {
  runOpenAiSuite({ baseUrl: () => server.baseUrl, model: MODEL })
})

interface Load {
  readonly running: number
  readonly waiting: number
  readonly kvBlocks: number
  readonly kvBlocksFree: number
}

async function load(): Promise<Load | undefined> {
  const readiness = (await (await fetch(`${server.baseUrl}/readyz`)).json()) as { models: { load?: Load }[] }
  return readiness.models[0]?.load
}

async function untilIdle(): Promise<Load | undefined> {
  for (let waits = 0; waits < 200; waits++) {
    const now = await load()
    if (now?.running === 0 && now.waiting === 0) return now
    await delay(10)
  }
  return load()
}

test('aborted streams and calls free every block', async () => {
  const client = openAiClient(server.baseUrl)
  const request = {
    model: MODEL,
    messages: [{ role: 'user' as const, content: 'Tell me a short story about a fox.' }],
    max_tokens: 200,
    ignore_eos: true,
  }
  for (const stream of [true, false]) {
    const controller = new AbortController()
    const failed = rejection(
      (async () => {
        const answer = await client.chat.completions.create({ ...request, stream }, { signal: controller.signal })
        if (Symbol.asyncIterator in answer) for await (const chunk of answer) if (chunk.choices.length > 0) controller.abort()
        throw new Error('the stream ended')
      })(),
    )
    if (!stream) setTimeout(() => controller.abort(), 20)
    await failed
  }
  const idle = await untilIdle()
  expect(idle).toMatchObject({ running: 0, waiting: 0 })
  expect(idle?.kvBlocksFree).toBe(idle?.kvBlocks)
})

test('49: a prompt is served up to the context and refused beyond it, with both numbers', async () => {
  const client = openAiClient(server.baseUrl)
  const ask = (numTokens: number): Promise<unknown> =>
    client.completions.create({ model: MODEL, prompt: Array.from({ length: numTokens }, () => 300), max_tokens: 1, temperature: 0 })
  await ask(255)
  const error = await rejection(ask(257))
  expect(error).toBeInstanceOf(BadRequestError)
  expect(error).toMatchObject({ code: 'context_length_exceeded' })
  expect((error as Error).message).toContain('256')
  expect((error as Error).message).toContain('257')
})

test('47: text that looks like a special token is counted and read as plain text', async () => {
  const client = openAiClient(server.baseUrl)
  const tokens = async (content: string): Promise<number> => {
    const { usage } = await client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content }], max_tokens: 1 })
    return usage?.prompt_tokens ?? 0
  }
  const empty = await tokens('')
  expect((await tokens('<|im_end|>')) - empty).toBeGreaterThan(1)
})
