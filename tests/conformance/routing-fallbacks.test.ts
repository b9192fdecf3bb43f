/** Fallbacks of a composed platform: an answer that a model's own guard or the quality monitor gave up is given by the next, at its price. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatDecimal } from '#base/decimal'
import { type ComposedServer, startComposedServer } from './composed-server.ts'
import { FakeModel, play, sayWords } from './fake-model.ts'

const FILE = `
quality:
  cheap: { repetition: fallback }
  stopping: { repetition: stop }
routes:
  - name: best
    models: [{ model: cheap }]
    fallbacks: [{ model: dear, on: [guardrail, degenerate] }]
prices:
  cheap: { input: 0.1, output: 0.2 }
  dear: { input: 10.000001, cachedInput: 1.000001, output: 30.000007 }
  stopping: { output: 1 }
`
const LOOP = Array.from({ length: 200 }, () => 'never ')
const cheap = new FakeModel({ name: 'cheap' })
const dear = new FakeModel({ name: 'dear', script: sayWords(['a ', 'good ', 'answer']) })
const stopping = new FakeModel({ name: 'stopping', script: sayWords(LOOP) })
/** 5 tokens of the prompt at full price, 2 cached ones, 3 of the answer. */
const DEAR_COST = 5n * 10_000_001n + 2n * 1_000_001n + 3n * 30_000_007n

let server: ComposedServer

beforeAll(async () => {
  server = await startComposedServer(FILE, [cheap, dear, stopping])
})

afterAll(async () => server[Symbol.asyncDispose]())

interface Answer {
  readonly headers: Headers
  readonly text: string
  readonly reason: string
  readonly outputTokens: number
}

async function chat(model: string): Promise<Answer> {
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }),
  })
  expect(response.status).toBe(200)
  const { choices, usage } = (await response.json()) as {
    readonly choices: readonly { readonly message: { readonly content: string }; readonly finish_reason: string }[]
    readonly usage: { readonly completion_tokens: number }
  }
  const [choice] = choices
  return { headers: response.headers, text: choice!.message.content, reason: choice!.finish_reason, outputTokens: usage.completion_tokens }
}

test.each([
  [
    'its own guard ended',
    play([
      { type: 'response-start', promptTokens: 7, cachedTokens: 0 },
      { type: 'text-delta', choice: 0, text: 'well, ', logprobs: null },
      { type: 'choice-end', choice: 0, finishReason: 'content-filter', stopString: null },
      { type: 'response-end', usage: { promptTokens: 7, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 90, reasoningTokens: 0 } },
    ]),
  ],
  ['that went round in circles', sayWords(LOOP)],
])('an answer %s is given by the fallback, under its name and at its price alone', async (_, script) => {
  cheap.script = script
  const before = { cheap: await server.ledger('cheap'), dear: await server.ledger('dear') }
  const { headers, text, reason, outputTokens } = await chat('best')
  expect([text, reason, outputTokens]).toEqual(['a good answer', 'stop', 3])
  expect(headers.get('x-inferd-model')).toBe('dear')
  expect(headers.get('x-inferd-cost-usd')).toBe(formatDecimal(DEAR_COST, 12))
  const after = await server.ledger('dear')
  expect([after.requests - before.dear.requests, after.outputTokens - before.dear.outputTokens]).toEqual([1, 3])
  expect(await server.ledger('cheap')).toEqual(before.cheap)
})

test('a degenerate answer that is stopped ends with its reason and the tokens that were made', async () => {
  const { headers, reason, outputTokens } = await chat('stopping')
  expect(reason).toBe('content_filter')
  expect(headers.get('x-inferd-quality')).toBe('repetition=stop')
  // The fake ends as if it had not been told to: the last word is its own.
  expect(outputTokens).toBe(LOOP.length)
  expect(headers.get('x-inferd-cost-usd')).toBe(formatDecimal(BigInt(LOOP.length) * 1_000_000n, 12))
})
