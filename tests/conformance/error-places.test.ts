/** What the engine finds at fault is told in the words of the operation that was called. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { FakeModel } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

/** Refuses the text `long` at the place that is given to it. */
let place = 'input'
const TOO_LONG = 'the context holds 8 tokens; the prompt has 9'
const model = new FakeModel({
  script: async function* (request) {
    const { input } = request
    if (input.kind !== 'text' || input.text === 'long') throw new InferdError('context_length_exceeded', TOO_LONG, { param: place })
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    await new Promise(() => {})
  },
})
model.embed = () => Promise.reject(new InferdError('context_length_exceeded', TOO_LONG, { param: place }))

let target: TestServer

beforeAll(async () => {
  target = await startTestServer({ model })
})

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
})

async function paramOf(path: string, fields: object): Promise<string | null> {
  const body = JSON.stringify({ model: 'fake/model', ...fields })
  const response = await fetch(`${target.url}/v1/${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  const { error } = (await response.json()) as { error: { code: string; message: string; param: string | null } }
  expect([response.status, error.code, error.message]).toEqual([400, 'context_length_exceeded', TOO_LONG])
  return error.param
}

const CHAT = { messages: [{ role: 'user', content: 'hi' }] }

test('a prompt that does not fit is `messages`, `prompt`, `prompt[i]`, `input` or `input[i]`, whole and streamed', async () => {
  // The words of the scheduler's door and of the prompt encoder.
  for (place of ['input', 'prompt', 'messages']) {
    for (const stream of [false, true]) {
      expect(await paramOf('chat/completions', { ...CHAT, stream })).toBe('messages')
      expect(await paramOf('completions', { prompt: 'long', stream })).toBe('prompt')
      expect(await paramOf('completions', { prompt: ['short', 'short', 'long'], stream })).toBe('prompt[2]')
    }
    expect(await paramOf('embeddings', { input: 'long' })).toBe('input')
  }
  expect(await paramOf('completions', { prompt: ['long'] })).toBe('prompt[0]')
  place = 'input[1]'
  expect(await paramOf('embeddings', { input: ['short', 'long'] })).toBe('input[1]')
  place = 'input[0]'
  expect(await paramOf('embeddings', { input: 'long' })).toBe('input')
})

test('other fields have the names of their operation', async () => {
  place = 'numTopLogprobs'
  expect([await paramOf('chat/completions', CHAT), await paramOf('completions', { prompt: 'long' })]).toEqual(['top_logprobs', 'logprobs'])
  place = 'minTokens'
  expect([await paramOf('chat/completions', CHAT), await paramOf('completions', { prompt: ['short', 'long'] })]).toEqual(['min_tokens', 'min_tokens'])
})
