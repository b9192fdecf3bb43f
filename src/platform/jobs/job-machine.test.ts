/** The machine of a job: every course that it can take, and none that it cannot. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import type { JobChange, JobPhase, JobRow } from '#platform/store/job-rows'
import { changed, checkRow, claim, close, doom, doomOf, EXPIRED, fault, finish, giveBack, noteCounts, orphan, requestCancel } from './job-machine.ts'
import { newRow, viewOf } from './job-view.ts'

const TTL_MS = 1000
const MAX_FAULTS = 2
const COUNTS = { total: 1, succeeded: 1, failed: 0 }
const FAULT = { code: 'replica_lost', message: 'gone', param: null, retryAfterMs: null } as const

const fresh = newRow(
  'job-1',
  { kind: 'async', principal: LOCAL_PRINCIPAL, spec: {}, labels: {}, ttlMs: TTL_MS, startWithinMs: 400, idempotency: null },
  0,
)

type Step = (row: JobRow, nowMs: number) => JobChange | null

function terms(nowMs: number): Parameters<typeof fault>[2] {
  return { maxFaults: MAX_FAULTS, backoffMs: 10, nowMs }
}

const STEPS: Readonly<Record<string, Step>> = {
  claim: (row, nowMs) => claim(row, 'holder', nowMs),
  giveBack,
  fault: (row, nowMs) => fault(row, FAULT, terms(nowMs)),
  orphan: (row, nowMs) => orphan(row, terms(nowMs)),
  expire: (row) => doom(row, 'expired', EXPIRED),
  judge: doomOf,
  cancel: requestCancel,
  note: (row) => noteCounts(row, COUNTS),
  succeed: (row, nowMs) => finish(row, { state: 'succeeded', counts: COUNTS, result: { at: 'x' }, error: null }, nowMs),
  fail: (row, nowMs) => finish(row, { state: 'failed', counts: COUNTS, result: null, error: FAULT }, nowMs),
  close: (row, nowMs) => close(row, { told: true }, nowMs),
}

/** Which steps a phase knows, and where they may lead. Everything that is not here is a bug. */
const LEGAL: Readonly<Record<JobPhase, Readonly<Record<string, readonly JobPhase[]>>>> = {
  waiting: { claim: ['running'], expire: ['doomed'], judge: ['waiting', 'doomed'], cancel: ['doomed'] },
  running: {
    giveBack: ['waiting'],
    fault: ['waiting', 'closing'],
    orphan: ['waiting', 'doomed'],
    expire: ['closing'],
    cancel: ['running'],
    note: ['running'],
    succeed: ['ended'],
    fail: ['ended'],
  },
  doomed: { claim: ['closing'], cancel: ['doomed'] },
  closing: { giveBack: ['doomed'], fault: ['doomed'], orphan: ['doomed'], cancel: ['closing'], close: ['ended'] },
  ended: { cancel: ['ended'] },
}

test('every step from every phase leads where it may, and is a bug where there is no such way', () => {
  const step = fc.record({ pick: fc.nat(1000), isAny: fc.boolean(), waitMs: fc.nat(60) })
  const seen = new Set<string>()
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (course) => {
      let row = fresh
      let nowMs = 0
      for (const { pick, isAny, waitMs } of course) {
        nowMs += waitMs
        const names = Object.keys(isAny ? STEPS : LEGAL[row.phase])
        const name = names[pick % names.length]!
        const targets = LEGAL[row.phase][name]
        if (targets === undefined) {
          expect(() => STEPS[name]!(row, nowMs), `${name} of ${row.phase}`).toThrow()
          continue
        }
        const change = STEPS[name]!(row, nowMs)
        const after = change === null ? row : changed(row, change)
        checkRow(after)
        expect(targets, `${name} of ${row.phase}`).toContain(after.phase)
        expect(after.attempt - row.attempt).toBe(name === 'claim' ? 1 : 0)
        expect(after.cancel_ms ?? null).toBe(row.cancel_ms ?? (name === 'cancel' ? after.cancel_ms : null))
        seen.add(`${row.phase} ${name} ${after.phase}`)
        row = after
      }
    }),
    { seed: 11, numRuns: 3000 },
  )
  const all = Object.entries(LEGAL).flatMap(([phase, ways]) =>
    Object.entries(ways).flatMap(([name, targets]) => targets.map((to) => `${phase} ${name} ${to}`)),
  )
  expect(all.filter((way) => !seen.has(way))).toEqual([])
})

test('an ended job moves no more, whatever comes', () => {
  const running = changed(fresh, claim(fresh, 'holder', 1))
  const ended = changed(running, STEPS['succeed']!(running, 2)!)
  for (const [name, step] of Object.entries(STEPS)) {
    if (name === 'cancel') expect(step(ended, 3)).toBeNull()
    else expect(() => step(ended, 3), name).toThrow()
  }
})

test('attempts that go wrong count, attempts that are given back do not; the last one is told of by its holder', () => {
  let row = fresh
  for (let round = 0; round < 10; round++) {
    row = changed(row, claim(row, 'holder', round))
    row = changed(row, giveBack(row))
  }
  expect(row).toMatchObject({ phase: 'waiting', attempt: 10, num_faults: 0, ready_ms: 0 })
  for (let round = 1; round < MAX_FAULTS; round++) {
    row = changed(row, claim(row, 'holder', 100))
    row = changed(row, fault(row, FAULT, terms(100)))
    expect(row).toMatchObject({ phase: 'waiting', num_faults: round, ready_ms: 110 })
  }
  row = changed(row, claim(row, 'holder', 200))
  row = changed(row, fault(row, FAULT, terms(200)))
  expect(row).toMatchObject({ phase: 'closing', verdict: 'failed', holder: 'holder' })
  expect(viewOf(row)).toMatchObject({ state: 'running', error: null })
  expect(viewOf(changed(row, close(row, null, 300)))).toMatchObject({ state: 'failed', error: FAULT, endedMs: 300 })
})

test('what has waited too long for its first attempt is doomed; once begun only its whole time counts', () => {
  expect(doomOf(fresh, 399)).toBeNull()
  expect(doomOf(fresh, 400)).toMatchObject({ to: 'doomed', patch: { verdict: 'expired' } })
  const running = changed(fresh, claim(fresh, 'holder', 300))
  const again = changed(running, giveBack(running))
  expect(doomOf(again, 999)).toBeNull()
  expect(doomOf(again, 1000)).toMatchObject({ to: 'doomed', patch: { verdict: 'expired' } })
})

test('a job that was cancelled while it ran is not run again when its attempt goes wrong', () => {
  const running = changed(fresh, claim(fresh, 'holder', 1))
  const asked = changed(running, requestCancel(running, 2)!)
  expect(requestCancel(asked, 3)).toBeNull()
  const back = changed(asked, fault(asked, FAULT, terms(4)))
  expect(doomOf(back, 5)).toMatchObject({ to: 'doomed', patch: { verdict: 'cancelled' } })
})
