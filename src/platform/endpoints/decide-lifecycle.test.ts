import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decideLifecycle, type LifecyclePolicy } from './decide-lifecycle.ts'
import { coldRow, type ModelRow } from './model-row.ts'

const POLICY: LifecyclePolicy = { budgetBytes: 100, fairWaitMs: 1000, residencyMs: 500 }
const NOW_MS = 100_000

function row(name: string, needBytes: number, changes: Partial<ModelRow> = {}): ModelRow {
  return { ...coldRow({ name, wanted: 'on-demand', isPinned: false, idleTimeoutMs: 60_000, needBytes }, NOW_MS), ...changes }
}

function ready(name: string, needBytes: number, changes: Partial<ModelRow> = {}): ModelRow {
  return row(name, needBytes, { phase: 'ready', readySinceMs: 0, lastUseMs: NOW_MS - 1000, ...changes })
}

function waits(name: string, needBytes: number, waitedMs = 0): ModelRow {
  return row(name, needBytes, { numHeld: 1, oldestHeldMs: NOW_MS - waitedMs })
}

function decided(rows: readonly ModelRow[], policy: Partial<LifecyclePolicy> = {}): string[] {
  return decideLifecycle(rows, { ...POLICY, ...policy }, NOW_MS).map(({ kind, row: { name } }) => `${kind} ${name}`)
}

test('a model with callers starts where it fits, and one without callers does not', () => {
  expect(decided([waits('a', 60), waits('b', 40), row('c', 1)])).toEqual(['start a', 'start b'])
})

test('idle models make room, the one first that was used least recently', () => {
  expect(decided([ready('new', 50, { lastUseMs: NOW_MS - 10 }), ready('old', 50, { lastUseMs: NOW_MS - 20 }), waits('a', 50)])).toEqual(['stop old'])
})

test('a small model is left alone when a larger one, used later, gives enough by itself', () => {
  const small = ready('small', 10, { lastUseMs: NOW_MS - 30 })
  expect(decided([small, ready('large', 90, { lastUseMs: NOW_MS - 20 }), waits('a', 80)])).toEqual(['stop large'])
})

test('memory that comes back is waited for, and no second model is stopped for it', () => {
  expect(decided([row('ends', 60, { phase: 'stopping' }), ready('idle', 40), waits('a', 60)])).toEqual([])
})

test('memory that is on its way to one model is not given to the next', () => {
  expect(decided([row('ends', 60, { phase: 'stopping' }), waits('a', 90, 20), waits('b', 30, 10)])).toEqual([])
})

test('what runs, is pinned or always on stays; its callers wait', () => {
  const rows = [ready('busy', 40, { numRunning: 1 }), ready('pinned', 30, { isPinned: true }), ready('awake', 30, { wanted: 'awake' })]
  expect(decided([...rows, waits('a', 40)])).toEqual([])
})

test('a model that has no room now lets a smaller one go first, until it has waited too long', () => {
  const busy = ready('busy', 80, { numRunning: 1, readySinceMs: NOW_MS - 100 })
  expect(decided([busy, waits('large', 50, 900), waits('small', 20, 10)])).toEqual(['start small'])
  expect(decided([busy, waits('large', 50, 1100), waits('small', 20, 10)])).toEqual([])
})

test('after a fair wait the busy model that was used least recently is drained, not stopped, if it has been up for a while', () => {
  const old = ready('old', 50, { numRunning: 2, lastUseMs: NOW_MS - 9 })
  const fresh = ready('fresh', 50, { numRunning: 1, readySinceMs: NOW_MS - 100, lastUseMs: NOW_MS - 99 })
  expect(decided([old, fresh, waits('a', 50, 1000)])).toEqual(['drain old'])
})

test('a drained model stops with its last call, and takes calls again when nobody waits for its memory any more', () => {
  const drains = ready('old', 90, { phase: 'draining', numRunning: 1 })
  expect(decided([drains, waits('a', 50, 1000)])).toEqual([])
  expect(decided([{ ...drains, numRunning: 0 }, waits('a', 50, 1000)])).toEqual(['stop old'])
  expect(decided([drains])).toEqual(['resume old'])
})

test('a model that never fits is refused with need and have, and holds nobody up', () => {
  const rows = [ready('pinned', 30, { isPinned: true }), waits('large', 80, 500), waits('a', 60)]
  expect(decideLifecycle(rows, POLICY, NOW_MS)).toEqual([
    { kind: 'refuse', row: rows[1], needBytes: 80, haveBytes: 70 },
    { kind: 'start', row: rows[2] },
  ])
})

test('an idle model sleeps after its time, a pinned one and an always-on one never', () => {
  const since = { lastUseMs: NOW_MS - 60_000 }
  const rows = [ready('a', 1, since), ready('b', 1, { ...since, isPinned: true }), ready('c', 1, { ...since, wanted: 'awake' })]
  expect(decided([...rows, ready('d', 1, { ...since, numRunning: 1 })])).toEqual(['stop a'])
})

test('a model that is to go ends with the calls that run', () => {
  expect(decided([ready('a', 1, { wanted: 'gone', numRunning: 1 }), ready('b', 1, { wanted: 'gone', isPinned: true })])).toEqual([
    'drain a',
    'stop b',
  ])
})

test('a model that failed rests, and its memory is free for others meanwhile', () => {
  expect(decided([{ ...waits('a', 90), notBeforeMs: NOW_MS + 1 }, waits('b', 90)])).toEqual(['start b'])
})

const anyRow = fc
  .record({
    needBytes: fc.integer({ min: 1, max: 120 }),
    phase: fc.constantFrom('cold', 'starting', 'ready', 'draining', 'stopping'),
    wanted: fc.constantFrom('awake', 'on-demand', 'gone'),
    isPinned: fc.boolean(),
    numRunning: fc.nat(2),
    numHeld: fc.nat(2),
    sinceMs: fc.nat(3000),
    lastUseMs: fc.integer({ min: NOW_MS - 90_000, max: NOW_MS }),
  })
  .map(({ phase, numHeld, sinceMs, numRunning, ...rest }) => ({
    ...rest,
    phase,
    numHeld: phase === 'ready' ? 0 : numHeld,
    oldestHeldMs: phase === 'ready' || numHeld === 0 ? null : NOW_MS - sinceMs,
    numRunning: phase === 'cold' ? 0 : numRunning,
    readySinceMs: phase === 'ready' || phase === 'draining' ? NOW_MS - sinceMs : null,
  }))

test('whatever the rows are: starts fit, nothing that runs or is kept makes room, idle goes before busy, each row is named once', () => {
  fc.assert(
    fc.property(fc.array(anyRow, { maxLength: 12 }), (changes) => {
      const rows = changes.map((change, index) => row(`m${index}`, 1, change as Partial<ModelRow>))
      const actions = decideLifecycle(rows, POLICY, NOW_MS)
      const used = rows.reduce((sum, { phase, needBytes }) => sum + (phase === 'cold' ? 0 : needBytes!), 0)
      const started = actions.reduce((sum, action) => sum + (action.kind === 'start' ? action.row.needBytes! : 0), 0)
      expect(new Set(actions.map((action) => action.row)).size).toBe(actions.length)
      if (started > 0) expect(used + started).toBeLessThanOrEqual(POLICY.budgetBytes)
      for (const action of actions) {
        if (action.kind !== 'stop') continue
        expect(action.row.numRunning).toBe(0)
        if (action.reason !== 'gone') expect([action.row.wanted, action.row.isPinned]).toEqual(['on-demand', false])
      }
      const evicted = actions.flatMap((action) =>
        action.kind === 'stop' && action.reason === 'evicted' && action.row.phase !== 'draining' ? [action.row] : [],
      )
      const spared = rows.filter(
        (one) => ['ready', 'starting'].includes(one.phase) && one.wanted === 'on-demand' && !one.isPinned && one.numRunning + one.numHeld === 0,
      )
      const leaves = new Set(actions.map((action) => action.row))
      // Used earlier and spared all the same: only when it is smaller than what was needed beside the others.
      for (const victim of evicted)
        for (const one of spared) if (!leaves.has(one) && one.lastUseMs < victim.lastUseMs) expect(one.needBytes!).toBeLessThan(victim.needBytes!)
    }),
    { seed: 7, numRuns: 3000 },
  )
})
