/** Runs without a connection: how many, how long, what is kept of their frames. */
import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { InferdError } from '#contract/errors'
import type { BackgroundRun } from '#contract/stored-response'
import { type BackgroundRunOptions, DEFAULT_BACKGROUND_RUN_OPTIONS, DetachedRuns } from './background-runs.ts'

function setup(options: Partial<BackgroundRunOptions> = {}): { runs: DetachedRuns; clock: FakeClock } {
  const clock = new FakeClock()
  return { clock, runs: new DetachedRuns({ ...DEFAULT_BACKGROUND_RUN_OPTIONS, clock, ...options }) }
}

/** Works until its signal aborts. */
function endless(id: string, team = 't'): BackgroundRun & { readonly reasons: unknown[] } {
  const reasons: unknown[] = []
  const work = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        reasons.push((signal.reason as InferdError).code)
        resolve()
      })
    })
  return { id, team, prepare: async () => {}, work, reasons }
}

test('more than may run, of all or of one team, is overloaded; a room that is given back is used again', async () => {
  const { runs } = setup({ maxRuns: 3, maxRunsPerTeam: 2 })
  await runs.start(endless('1'))
  await runs.start(endless('2'))
  await expect(runs.start(endless('3'))).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 5000 })
  await runs.start(endless('4', 'other'))
  await expect(runs.start(endless('5', 'third'))).rejects.toMatchObject({ code: 'overloaded' })
  expect(await runs.cancel({ team: 't', id: '1' })).toBe(true)
  await runs.start(endless('6'))
  expect(runs.numRunning).toBe(3)
})

test('a run that cannot be made known takes no room', async () => {
  const { runs } = setup({ maxRuns: 1 })
  const failing = { ...endless('1'), prepare: () => Promise.reject(new InferdError('store_failed', 'no')) }
  await expect(runs.start(failing)).rejects.toMatchObject({ code: 'store_failed' })
  await runs.start(endless('2'))
  expect(runs.numRunning).toBe(1)
})

test('a run whose work fails gives its room back and takes nothing else down', async () => {
  const { runs, clock } = setup({ maxRuns: 1 })
  await runs.start({ ...endless('1'), work: () => Promise.reject(new InferdError('internal', 'a fault of the work')) })
  await settle()
  expect([runs.numRunning, clock.numSleepers]).toEqual([0, 0])
  await runs.start(endless('2'))
})

test('nobody cancels or follows the run of another team', async () => {
  const { runs } = setup()
  await runs.start(endless('1'))
  expect(await runs.cancel({ team: 'other', id: '1' })).toBe(false)
  expect(runs.follow({ team: 'other', id: '1' }, -1, new AbortController().signal)).toBe(null)
  expect(runs.numRunning).toBe(1)
})

test('a run that takes too long is ended', async () => {
  const { runs, clock } = setup({ runTimeoutMs: 1000 })
  const run = endless('1')
  await runs.start(run)
  await clock.advance(999)
  expect(run.reasons).toEqual([])
  await clock.advance(1)
  expect([run.reasons, runs.numRunning, clock.numSleepers]).toEqual([['deadline_exceeded'], 0, 0])
})

test('a close lets runs end for a while, then ends them, and lets nothing in', async () => {
  const { runs, clock } = setup()
  const [run, short] = [endless('1'), talker('2')]
  await runs.start(run)
  await runs.start(short)
  const closing = runs.close({ graceMs: 1000 })
  await expect(runs.start(endless('3'))).rejects.toMatchObject({ code: 'shutting_down' })
  await clock.advance(999)
  short.end()
  await settle()
  expect([run.reasons, runs.numRunning]).toEqual([[], 1])
  await clock.advance(1)
  await closing
  expect([run.reasons, runs.numRunning, clock.numSleepers]).toEqual([['shutting_down'], 0, 0])
})

test('a close waits no longer than the last run', async () => {
  const { runs, clock } = setup()
  const run = talker('1')
  await runs.start(run)
  const closing = runs.close({ graceMs: 60_000 })
  run.end()
  await closing
  expect(clock.numSleepers).toBe(0)
})

/** Notes frames when told to. */
function talker(id: string): BackgroundRun & { say: (frame: string) => void; end: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  let note: (frame: string) => void = () => {}
  const work = (_signal: AbortSignal, keep: (frame: string) => void): Promise<void> => {
    note = keep
    return promise
  }
  return { id, team: 't', prepare: async () => {}, work, say: (frame) => note(frame), end: resolve }
}

test('a follower gets what was and what comes, a comment while nothing comes, and the end', async () => {
  const { runs, clock } = setup()
  const run = talker('1')
  await runs.start(run)
  run.say('a')
  run.say('b')
  const seen: string[] = []
  const frames = runs.follow(run, 0, new AbortController().signal)
  const reading = (async () => {
    for await (const frame of frames ?? []) seen.push(frame)
  })()
  await settle()
  await clock.advance(15_000)
  run.say('c')
  await settle()
  run.end()
  await reading
  expect(seen).toEqual(['b', ': keep-alive\n\n', 'c'])
  await clock.advance(299_999)
  expect(runs.follow(run, -1, new AbortController().signal)).not.toBe(null)
  await clock.advance(1)
  expect([runs.follow(run, -1, new AbortController().signal), clock.numSleepers]).toEqual([null, 0])
})

test('a follower that leaves waits for nothing', async () => {
  const { runs, clock } = setup()
  const run = talker('1')
  await runs.start(run)
  const leaving = new AbortController()
  const reading = Array.fromAsync(runs.follow(run, -1, leaving.signal) ?? [])
  await settle()
  leaving.abort()
  expect(await reading).toEqual([])
  expect(clock.numSleepers).toBe(1)
})

test('frames over the bound are dropped, the oldest run first, which goes on without them', async () => {
  const { runs } = setup({ maxKeptCharacters: 10 })
  const [first, second] = [talker('1'), talker('2')]
  await runs.start(first)
  await runs.start(second)
  first.say('12345')
  const late = Array.fromAsync(runs.follow(first, -1, new AbortController().signal) ?? [])
  second.say('1234567')
  await expect(late).rejects.toMatchObject({ code: 'overloaded' })
  first.say('more')
  expect(runs.numRunning).toBe(2)
  second.end()
  expect(await Array.fromAsync(runs.follow(second, -1, new AbortController().signal) ?? [])).toEqual(['1234567'])
})
