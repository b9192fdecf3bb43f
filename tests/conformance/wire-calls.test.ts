/** Calls without a connection go through the same doors as those from sockets, and nobody outside can make one. */
import { afterEach, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import type { WireAnswer, WireCall } from '#contract/job'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { type ComposedServer, startComposedServer } from './composed-server.ts'
import { FakeModel, sayNothing, sayWords } from './fake-model.ts'
import { startTestServer } from './test-server.ts'

const NEVER = new AbortController().signal

const closing: AsyncDisposable[] = []
afterEach(async () => {
  for (const each of closing.splice(0)) await each[Symbol.asyncDispose]()
})

function chat(more: Partial<WireCall> = {}, fields: object = {}): WireCall {
  const body = new TextEncoder().encode(JSON.stringify({ model: 'fake/model', messages: [{ role: 'user', content: 'Hi' }], ...fields }))
  const headers = { 'content-type': 'application/json' }
  return { principal: LOCAL_PRINCIPAL, method: 'POST', path: '/v1/chat/completions', headers, body, isBatch: false, ...more }
}

async function composed(yaml: string, model: FakeModel): Promise<ComposedServer> {
  const server = await startComposedServer(yaml, [model])
  closing.push(server)
  return server
}

function textOf({ body }: WireAnswer): string {
  return new TextDecoder().decode(body)
}

test('a call is answered as the same bytes over a connection are, in every part but its id', async () => {
  const { server, url } = await startTestServer({ model: new FakeModel({ script: sayWords(['Hello', ' there']) }) })
  const call = chat({ headers: { 'content-type': 'application/json', 'x-request-id': 'one' } })
  const inside = await server.call(call, NEVER)
  const outside = await fetch(`${url}${call.path}`, { method: 'POST', headers: { ...call.headers }, body: new Uint8Array(call.body) })
  const withoutId = (text: string): unknown => ({ ...(JSON.parse(text) as object), id: '', created: 0 })
  expect(inside.status).toBe(200)
  expect(withoutId(textOf(inside))).toEqual(withoutId(await outside.text()))
  expect(inside.headers['x-request-id']).toBe('one')
  await server.close({ graceMs: 0 })
})

test('a streamed answer is whole when the call is answered', async () => {
  const { server } = await startTestServer({ model: new FakeModel({ script: sayWords(['Hello', ' there']) }) })
  const answer = await server.call(chat({}, { stream: true }), NEVER)
  expect(answer.headers['content-type']).toContain('text/event-stream')
  expect(textOf(answer)).toMatch(/Hello.*there.*\[DONE\]/s)
  await server.close({ graceMs: 0 })
})

test('a streamed answer of a megabyte is whole, however much of it is written at once', async () => {
  const words = Array.from({ length: 5000 }, (_, index) => `${index} ${'x'.repeat(200)} `)
  const { server } = await startTestServer({ model: new FakeModel({ script: sayWords(words) }) })
  const text = textOf(await server.call(chat({}, { stream: true }), NEVER))
  expect(text.match(/x{200}/g)).toHaveLength(words.length)
  expect(text.trimEnd().endsWith('[DONE]')).toBe(true)
  await server.close({ graceMs: 0 })
})

test('many calls at a time are each answered with their own words', async () => {
  const model = new FakeModel({
    script: (request, signal) => {
      return sayWords([JSON.stringify(request.input)])(request, signal)
    },
  })
  const { server } = await startTestServer({ model })
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) => server.call(chat({}, { messages: [{ role: 'user', content: `number ${index}.` }] }), NEVER)),
  )
  answers.forEach((answer, index) => expect(textOf(answer)).toContain(`number ${index}.`))
  await server.close({ graceMs: 0 })
})

test.each([
  ['malformed JSON', chat({ body: new TextEncoder().encode('{') }), 400, 'malformed_body'],
  ['a model that is not there', chat({}, { model: 'no' }), 404, 'model_not_found'],
  ['a key that may not', chat({ principal: { ...LOCAL_PRINCIPAL, scopes: ['read'] } }), 403, 'forbidden'],
  ['a model that the key may not use', chat({ principal: { ...LOCAL_PRINCIPAL, models: ['other'] } }), 404, 'model_not_found'],
  ['a body over the limit', chat({ body: new Uint8Array(5 * 2 ** 20) }), 413, 'payload_too_large'],
  ['no such route', chat({ path: '/v1/nowhere' }), 404, 'unknown_url'],
  ['another media type', chat({ headers: { 'content-type': 'text/plain' } }), 415, 'unsupported_media_type'],
])('%s is refused in the words of the dialect', async (_name, call, status, code) => {
  const { server } = await startTestServer({ model: new FakeModel({ script: sayWords(['Hi']) }) })
  const answer = await server.call(call, NEVER)
  expect([answer.status, (JSON.parse(textOf(answer)) as { error: { code: string } }).error.code]).toEqual([status, code])
  await server.close({ graceMs: 0 })
})

test('credentials are neither needed nor read: the principal is the one that was given', async () => {
  const seen: string[] = []
  const model = new FakeModel({ script: sayWords(['Hi']) })
  const authenticate = async (): Promise<never> => {
    seen.push('asked')
    throw new InferdError('unauthenticated', 'no')
  }
  const { server, url } = await startTestServer({ model, authenticate })
  const call = chat({ headers: { 'content-type': 'application/json', authorization: 'Bearer nonsense', host: 'evil.example' } })
  expect((await server.call(call, NEVER)).status).toBe(200)
  expect(seen).toEqual([])
  expect((await fetch(`${url}${call.path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).status).toBe(401)
  await server.close({ graceMs: 0 })
})

test('a batch call is metered at the price of batches in the tier flex; a header of a client makes neither', async () => {
  const server = await composed(
    "prices: { '*': { input: '1', output: '2', batch: '0.5', tiers: { flex: '0.5' } } }",
    new FakeModel({ script: sayWords(['one', ' two']) }),
  )
  await server.call(chat(), NEVER)
  const { costUsd: full } = await server.ledger('fake/model')
  await server.call(chat({ isBatch: true }, { service_tier: 'priority' }), NEVER)
  const { costUsd: both } = await server.ledger('fake/model')
  expect((Number(both) - Number(full)) / Number(full)).toBeCloseTo(0.25, 5)
  const headers = {
    'content-type': 'application/json',
    'x-inferd-batch': 'true',
    'x-forwarded-for': 'in-process call 1',
    forwarded: 'for="in-process call 3"',
  }
  await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', headers, body: new Uint8Array(chat().body) })
  const { costUsd: three } = await server.ledger('fake/model')
  expect((Number(three) - Number(both)) / Number(full)).toBeCloseTo(1, 5)
})

test('an aborted call rejects with its reason at once and ends the work behind it', async () => {
  const begun = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<unknown>()
  const model = new FakeModel({
    script: (request, signal) => {
      signal.addEventListener('abort', () => ended.resolve(signal.reason), { once: true })
      begun.resolve()
      return sayNothing(request, signal)
    },
  })
  const { server } = await startTestServer({ model })
  const controller = new AbortController()
  const answer = server.call(chat(), controller.signal)
  answer.catch(() => {})
  await begun.promise
  controller.abort(new InferdError('cancelled', 'enough'))
  await expect(answer).rejects.toMatchObject({ code: 'cancelled', message: 'enough' })
  expect(await ended.promise).toMatchObject({ code: 'cancelled' })
  await server.close({ graceMs: 0 })
})

test('after the server is closed a call is refused as shutting down', async () => {
  const { server } = await startTestServer({ model: new FakeModel() })
  await server.close({ graceMs: 0 })
  await expect(server.call(chat(), NEVER)).rejects.toMatchObject({ code: 'shutting_down' })
})
