import { expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import type { GenerateEvent, TokenLogprob } from '#contract/generate'
import { CallTable } from './call-table.ts'
import type { CallId } from './messages.ts'

const DELTA = { type: 'text-delta', choice: 0, text: 'a', logprobs: null } as const
const ALTERNATIVE = { tokenId: 1, text: 'a', bytes: [97], logprob: -1 }

function withAlternatives(numTop: number): GenerateEvent {
  const token: TokenLogprob = { ...ALTERNATIVE, top: Array.from({ length: numTop }, () => ALTERNATIVE) }
  return { ...DELTA, logprobs: [token] }
}

interface Flood {
  /** How many events the queue took. */
  readonly numTaken: number
  readonly aborted: readonly CallId[]
  readonly error: unknown
}

/** A model that speaks until it is told to stop, to a reader that never reads; then the reader looks. */
async function flood(event: GenerateEvent, numChoices: number): Promise<Flood> {
  const table = new CallTable()
  const aborted: CallId[] = []
  const { call, queue } = table.openStream({ signal: new AbortController().signal, sendAbort: (id) => aborted.push(id), numChoices })
  for (let count = 0; count < 100_000 && table.size > 0; count++) table.deliver(call, event)
  expect(table.size).toBe(0)
  let numTaken = 0
  try {
    for await (const _ of queue) numTaken++
  } catch (error) {
    return { numTaken, aborted, error }
  }
  return expect.unreachable('the queue ended without an error')
}

test('a stream that nobody reads is ended as overloaded, and its worker is told, after a few thousand events', async () => {
  const { numTaken, aborted, error } = await flood(DELTA, 1)
  expect([numTaken, aborted.length]).toEqual([4096, 1])
  expect(error).toMatchObject({ code: 'overloaded' })
})

test('the bound grows with the choices up to a cap, and counts every alternative', async () => {
  expect((await flood(DELTA, 4)).numTaken).toBe(4 * 4096)
  expect((await flood(DELTA, 128)).numTaken).toBe(65_536)
  expect((await flood(withAlternatives(20), 1)).numTaken).toBe(Math.floor(4096 / 22))
})

test('a reader that keeps up is never cut, however long the stream is', async () => {
  const table = new CallTable()
  const { call, queue } = table.openStream({ signal: new AbortController().signal, sendAbort: () => expect.unreachable('aborted'), numChoices: 1 })
  for (let count = 0; count < 20_000; count++) {
    table.deliver(call, DELTA)
    expect((await queue.next()).done).toBe(false)
  }
})

test('a full stream whose worker dies still ends with the reason', async () => {
  const table = new CallTable()
  const { call, queue } = table.openStream({ signal: new AbortController().signal, sendAbort: () => {}, numChoices: 1 })
  for (let count = 0; count < 4096; count++) table.deliver(call, DELTA)
  expect(table.size).toBe(1)
  table.fail(call, new InferdError('replica_lost', 'the model worker was lost'))
  let numTaken = 0
  const reading = (async () => {
    for await (const _ of queue) numTaken++
  })()
  await expect(reading).rejects.toMatchObject({ code: 'replica_lost' })
  expect(numTaken).toBe(4096)
})

const GONE = new InferdError('cancelled', 'the client closed the connection')
const LAST_WORD = { promptTokens: 9, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 5, reasoningTokens: 0 }

test('an aborted stream ends with what its worker had computed, and nothing that was said meanwhile', async () => {
  const table = new CallTable()
  const controller = new AbortController()
  const aborted: CallId[] = []
  const { call, queue } = table.openStream({ signal: controller.signal, sendAbort: (id) => aborted.push(id), numChoices: 1 })
  table.deliver(call, DELTA)
  controller.abort(GONE)
  table.deliver(call, DELTA)
  expect([aborted, table.size]).toEqual([[call], 1])
  table.endAborted(call, LAST_WORD)
  table.endAborted(call, LAST_WORD)
  const seen: GenerateEvent[] = []
  for await (const event of queue) seen.push(event)
  const error = { code: 'cancelled', message: GONE.message, param: null, retryAfterMs: null }
  expect(seen).toEqual([DELTA, { type: 'response-error', error, usage: LAST_WORD }])
  expect(table.size).toBe(0)
})

test.each(['left', 'worker lost'] as const)('an aborted stream that never hears its last word is forgotten: %s', async (how) => {
  const table = new CallTable()
  const controller = new AbortController()
  const { call, queue } = table.openStream({ signal: controller.signal, sendAbort: () => {}, numChoices: 1 })
  table.deliver(call, DELTA)
  await queue.next()
  controller.abort(GONE)
  if (how === 'left') await queue.return()
  else table.failAll(new InferdError('replica_lost', 'gone'))
  expect(table.size).toBe(0)
  if (how === 'worker lost') await expect(queue.next()).rejects.toBe(GONE)
})

test('a stream that is aborted before it began throws the reason at once', async () => {
  const table = new CallTable()
  const controller = new AbortController()
  const { queue } = table.openStream({ signal: controller.signal, sendAbort: () => {}, numChoices: 1 })
  controller.abort(GONE)
  await expect(queue.next()).rejects.toBe(GONE)
  expect(table.size).toBe(0)
})
