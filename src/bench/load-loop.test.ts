import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import type { Load } from './load.ts'
import { runLoad } from './load-loop.ts'
import type { RequestOutcome } from './request-outcome.ts'

interface Terms {
  readonly load: Load
  readonly maxRequests?: number
  readonly durationMs?: number | null
  readonly maxInFlight?: number
  /** Of each answer. */
  readonly takesMs: number
}

/** What was sent, `[due, sent]` in milliseconds, and whether all has ended. */
async function start({ load, maxRequests = 1000, durationMs = null, maxInFlight = 1000, takesMs }: Terms) {
  const clock = new FakeClock()
  const stop = new AbortController()
  const sent: (readonly [number, number])[] = []
  const run = { clock, stop, sent, maxUnderWay: 0, numOutcomes: 0, isOver: false }
  let underWay = 0
  const ask = async (index: number, dueMs: number): Promise<RequestOutcome> => {
    expect(index).toBe(sent.length)
    sent.push([dueMs, clock.nowMs()])
    run.maxUnderWay = Math.max(run.maxUnderWay, ++underWay)
    await clock.sleep(takesMs, stop.signal).catch(() => {})
    underWay--
    return { kind: 'cancelled' }
  }
  const onOutcome = (): void => void run.numOutcomes++
  void runLoad({ load, maxRequests, durationMs, maxInFlight, clock, random: new SeededRandom(1), ask, onOutcome }, stop.signal).then(() => {
    run.isOver = true
  })
  await settle()
  return run
}

const constant = (ratePerS: number): Load => ({ kind: 'open', ratePerS, process: 'constant' })

test('closed: each caller sends when its answer is there', async () => {
  const run = await start({ load: { kind: 'closed', concurrency: 2 }, maxRequests: 5, takesMs: 100 })
  await run.clock.advance(1000)
  expect(run.sent.map(([, sentMs]) => sentMs)).toEqual([0, 0, 100, 100, 200])
  expect(run).toMatchObject({ maxUnderWay: 2, numOutcomes: 5, isOver: true })
})

test('closed: after the duration nothing is sent, and what is under way is waited for', async () => {
  const run = await start({ load: { kind: 'closed', concurrency: 1 }, durationMs: 250, takesMs: 100 })
  await run.clock.advance(299)
  expect(run).toMatchObject({ numOutcomes: 2, isOver: false })
  await run.clock.advance(1)
  expect(run.sent.map(([, sentMs]) => sentMs)).toEqual([0, 100, 200])
  expect(run).toMatchObject({ numOutcomes: 3, isOver: true })
})

test('open: requests come by the clock, whether those before are answered or not', async () => {
  const run = await start({ load: constant(10), maxRequests: 5, takesMs: 10_000 })
  await run.clock.advance(1000)
  expect(run.sent).toEqual([
    [0, 0],
    [100, 100],
    [200, 200],
    [300, 300],
    [400, 400],
  ])
  expect(run).toMatchObject({ maxUnderWay: 5, isOver: false })
  await run.clock.advance(10_000)
  expect(run.isOver).toBe(true)
})

test('open: those beyond the bound wait in the client, and stay due when they were', async () => {
  const run = await start({ load: constant(10), maxRequests: 4, maxInFlight: 2, takesMs: 250 })
  await run.clock.advance(2000)
  expect(run.sent).toEqual([
    [0, 0],
    [100, 100],
    [200, 250],
    [300, 350],
  ])
  expect(run).toMatchObject({ maxUnderWay: 2, isOver: true })
})

test('open: the duration ends the arrivals, and the next one is not waited for', async () => {
  const run = await start({ load: constant(10), durationMs: 250, takesMs: 1 })
  await run.clock.advance(250)
  expect(run.sent).toHaveLength(3)
  expect(run.isOver).toBe(true)
})

test('open: all at once', async () => {
  const run = await start({ load: { kind: 'open', ratePerS: Infinity, process: 'poisson' }, maxRequests: 7, takesMs: 10 })
  await settle()
  expect(run.sent).toHaveLength(7)
  await run.clock.advance(10)
  expect(run).toMatchObject({ numOutcomes: 7, isOver: true })
})

test.each<Load>([{ kind: 'closed', concurrency: 2 }, constant(10)])('an abort stops the sending at once: $kind', async (load) => {
  const run = await start({ load, takesMs: 150 })
  await run.clock.advance(320)
  const numSent = run.sent.length
  run.stop.abort()
  await settle()
  expect(run.isOver).toBe(true)
  expect(run.sent).toHaveLength(numSent)
  expect(run.numOutcomes).toBe(numSent)
})

test('an abort frees those who wait for room', async () => {
  const run = await start({ load: constant(10), maxInFlight: 1, takesMs: 5000 })
  await run.clock.advance(300)
  expect(run.sent).toHaveLength(1)
  run.stop.abort()
  await settle()
  expect(run).toMatchObject({ isOver: true, numOutcomes: 1 })
})
