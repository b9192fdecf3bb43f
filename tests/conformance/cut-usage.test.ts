/** An answer of the shipped model that a guardrail cuts: it is billed with what the engine says that it made, in every dialect. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdProcess } from '../e2e/inferd-process.ts'
import { STREAMED, WHOLE } from './dialect-asks.ts'

const MODEL = 'inferd-chat'
const PROMPT = 'What is the capital of France?'
/** Of "The capital of France is Paris.", cut at its second word. */
const WHOLE_ANSWER_TOKENS = 9

let server: InferdProcess
let folder: string

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'inferd-cut-'))
  const file = path.join(folder, 'platform.yaml')
  const policy = '{ words: [{ text: The capital, input: none }] }'
  writeFileSync(file, `guardrails:\n  definitions: [{ name: house, policy: ${policy} }]\n  defaults: { ${MODEL}: { guardrail: house } }\n`)
  server = await (await InferdProcess.start('--config', file, '--data-dir', path.join(folder, 'data'), '--log-level', 'warn')).ready()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

interface Row {
  readonly requests: number
  readonly input_tokens: number
  readonly output_tokens: number
}

async function ledger(): Promise<Row> {
  const { data } = (await (await fetch(`${server.baseUrl}/inferd/v1/usage`)).json()) as { readonly data: readonly Row[] }
  return data[0] ?? { requests: 0, input_tokens: 0, output_tokens: 0 }
}

test.each([
  ...Object.entries(WHOLE).map(([name, ask]) => [`${name}, whole`, ask] as const),
  ...Object.entries(STREAMED).map(([name, ask]) => [`${name}, streamed`, ask] as const),
])('%s: the answer and the ledger agree on what was made', async (_, ask) => {
  const before = await ledger()
  const told = await ask({ url: server.baseUrl, model: MODEL, prompt: PROMPT })
  const after = await ledger()
  expect(told.text).toMatch(/blocked by a guardrail/)
  expect(told.promptTokens).toBe(15)
  expect(told.outputTokens).toBeGreaterThanOrEqual(2)
  expect(told.outputTokens).toBeLessThanOrEqual(WHOLE_ANSWER_TOKENS)
  expect([after.requests - before.requests, after.input_tokens - before.input_tokens, after.output_tokens - before.output_tokens]).toEqual([
    1,
    15,
    told.outputTokens,
  ])
})

test('the usage of a cut answer is the engine’s own word, no estimate', async () => {
  const ask = (stream: boolean): Promise<NodeJS.Dict<string | string[]>> => {
    const { promise, resolve, reject } = Promise.withResolvers<NodeJS.Dict<string | string[]>>()
    const body = JSON.stringify({ model: MODEL, stream, messages: [{ role: 'user', content: PROMPT }], temperature: 0 })
    const options = { method: 'POST', headers: { 'content-type': 'application/json' } }
    const request = httpRequest(`${server.baseUrl}/v1/chat/completions`, options, (response) => {
      response.resume().once('end', () => resolve({ ...response.headers, ...response.trailers }))
    })
    request.once('error', reject).end(body)
    return promise
  }
  for (const stream of [false, true]) {
    const told = await ask(stream)
    expect(told['x-inferd-cost-usd']).toBe('0')
    expect(told['x-inferd-usage']).toBeUndefined()
  }
})
