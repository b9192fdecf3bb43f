/** The client of a benchmark against servers that mean no good, over real sockets. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { apiBase, type BenchTarget, OpenAiServer } from './openai-server.ts'
import type { RequestOutcome } from './request-outcome.ts'

const NEVER = new AbortController().signal
const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0)) await close()
})

type Listener = (reply: ServerResponse, request: IncomingMessage) => void | Promise<void>

async function serve(listener: Listener): Promise<string> {
  const server = createServer((request, reply) => void listener(reply, request)).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  open.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function ask(listener: Listener, terms: Partial<BenchTarget> = {}, signal = NEVER): Promise<RequestOutcome> {
  return askAt(await serve(listener), terms, signal)
}

async function askAt(url: string, terms: Partial<BenchTarget>, signal = NEVER): Promise<RequestOutcome> {
  const plain = { key: '', model: 'm', endpoint: 'chat', isStreamed: true, extraBody: {}, timeoutMs: 20_000, maxConnections: 4 } as const
  const server = new OpenAiServer({ ...plain, url, ...terms }, systemClock)
  open.unshift(() => server.close())
  return server.ask({ prompt: 'hi', maxTokens: 4 }, null, signal)
}

const PIECE = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'

test('asks for what is measured, with the key and the fields that were added', async () => {
  let seen: object = {}
  const outcome = await ask(
    async (reply, request) => {
      const { authorization } = request.headers
      seen = { url: request.url, authorization, body: JSON.parse(await text(request)) as unknown }
      reply.end(`${PIECE}${PIECE}data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\ndata: [DONE]\n\n`)
    },
    { key: 'secret', extraBody: { ignore_eos: true, temperature: 1 } },
  )
  expect(outcome).toMatchObject({ kind: 'answered', numPromptTokens: 3, numOutputTokens: 2, gapsMs: [0] })
  const options = { stream: true, stream_options: { include_usage: true }, max_tokens: 4, ignore_eos: true, temperature: 1 }
  const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }], ...options }
  expect(seen).toEqual({ url: '/v1/chat/completions', authorization: 'Bearer secret', body })
})

test.each<readonly [string, Listener, string, RegExp]>([
  ['a connection that breaks', (reply) => void reply.write(PIECE, () => reply.destroy()), 'connection', /./],
  ['a refusal without end', (reply) => endless(reply.writeHead(429), 'x'), 'http 429', /^x{300}\.\.\.$/],
  ['an event without end', (reply) => endless(reply, 'data: xxxxxxxxxxxxxxxxxxxxxxxxxxx'), 'unreadable', /too long/],
  ['a page of HTML', (reply) => void reply.end('<html>data: [DONE]</html>'), 'broken stream', /./],
  ['a redirect', (reply) => void reply.writeHead(302, { location: 'http://127.0.0.1:9/' }).end(), 'http 302', /^$/],
  ['an error behind which the stream stays open', (reply) => void reply.write('data: {"error":{"message":"no"}}\n\n'), 'error in stream', /^no$/],
])('%s is one failure of its kind', async (_, listener, kind, words) => {
  const outcome = await ask(listener)
  expect(outcome).toMatchObject({ kind: 'failed', error: { kind, words: expect.stringMatching(words) as string } })
})

/** Without a new line, as fast as it is read. */
function endless(reply: ServerResponse, piece: string): void {
  const chunk = piece + 'x'.repeat(65_536)
  const write = (): void => {
    while (!reply.destroyed && reply.write(chunk));
  }
  reply.on('drain', write).on('error', () => {})
  write()
}

test('a server that is not there, and one that says nothing', async () => {
  expect(await askAt('http://127.0.0.1:9', {})).toMatchObject({ kind: 'failed', error: { kind: 'connection' } })
  expect(await ask(() => {}, { timeoutMs: 50 })).toMatchObject({ kind: 'failed', error: { kind: 'timeout', words: 'no end within 0.05 s' } })
  const stalled: Listener = (reply) => void reply.write(PIECE)
  expect(await ask(stalled, { timeoutMs: 100 })).toMatchObject({ kind: 'failed', error: { kind: 'timeout' } })
})

test('an abort takes the request back, before its answer and within it', async () => {
  const stop = new AbortController()
  expect(await ask(() => stop.abort(), {}, stop.signal)).toEqual({ kind: 'cancelled' })
  const later = new AbortController()
  const begun: Listener = (reply) => void reply.write(PIECE, () => setImmediate(() => later.abort()))
  expect(await ask(begun, {}, later.signal)).toEqual({ kind: 'cancelled' })
  expect(await ask(() => {}, {}, AbortSignal.abort())).toEqual({ kind: 'cancelled' })
})

test('an address with or without /v1 is the same server; what is no address is refused', () => {
  for (const text of ['http://h:1', 'http://h:1/', 'http://h:1/v1', 'http://h:1/v1/']) expect(apiBase(text).href).toBe('http://h:1/v1/')
  expect(apiBase('https://h/openai').href).toBe('https://h/openai/v1/')
  expect(apiBase('http://[::1]:8000').href).toBe('http://[::1]:8000/v1/')
  for (const text of ['h:1', 'file:///x', '', 'http://']) expect(() => apiBase(text)).toThrow(/must begin with http/)
  for (const text of ['http://u@h', 'http://h?a=1', 'http://h#x']) expect(() => apiBase(text)).toThrow(/no user, no query/)
})
