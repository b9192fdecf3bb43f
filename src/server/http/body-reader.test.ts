import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { readBody } from './body-reader.ts'
import { MemoryBudget } from './memory-budget.ts'

const LIMITS = { bodyLimitBytes: 1 << 20, bodyTimeoutMs: 30_000, minBodyBytesPerSecond: 1024, bodyRateGraceMs: 5_000 }

/** A request whose bytes the test sends by hand. */
function openRequest(headers: Readonly<Record<string, string>> = {}): IncomingMessage & PassThrough {
  const stream = new PassThrough()
  return Object.assign(stream, { headers, socket: { bytesRead: 0 }, complete: false }) as unknown as IncomingMessage & PassThrough
}

test('a body arrives whole, and its memory is given back', async () => {
  const request = openRequest({ 'content-length': '6' })
  const memory = new MemoryBudget(16_384)
  const body = readBody({ request, limits: LIMITS, clock: new FakeClock(), memory })
  request.write('abc')
  request.end('def')
  expect(Buffer.from(await body).toString()).toBe('abcdef')
  expect(memory.take(16_384)).toBe(true)
})

test('what a refused sender goes on to send takes no memory any more', async () => {
  const request = openRequest({ 'content-length': '100000' })
  const clock = new FakeClock()
  const memory = new MemoryBudget(400_000)
  const body = readBody({ request, limits: LIMITS, clock, memory }).catch((error: unknown) => error)
  request.write('slow')
  await clock.advance(6_000)
  expect(await body).toMatchObject({ code: 'request_timeout' })
  // The refusal lingers: the rest is read and dropped.
  request.resume()
  request.end(Buffer.alloc(99_996))
  await settle()
  expect(memory.take(400_000)).toBe(true)
})
