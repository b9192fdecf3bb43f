/**
 * What the machine knows of one model of its memory: what is wanted of it, what it is, who calls it, what it takes. Plain data; only
 * `Lifecycle` and its held calls write it.
 *
 *   cold -> starting -> ready -> draining -> stopping -> cold
 *             |           |  <------+           ^
 *             +-----------+---------------------+
 *
 * A start that failed is `stopping` as well, until its process is gone; then it rests (`notBeforeMs`).
 */
import { assert } from '#base/assert'
import type { ErrorRecord } from '#contract/errors'

/** awake: runs always; on-demand: runs while it is called; gone: takes no calls and ends with those that run. */
export type WantedState = 'awake' | 'on-demand' | 'gone'

/**
 * cold: no process. starting: from the spawn to ready, restarts after a crash too. ready: takes calls. draining: finishes those that run,
 * holds the others. stopping: its process ends; the memory is given back when it is gone.
 */
export type ModelPhase = 'cold' | 'starting' | 'ready' | 'draining' | 'stopping'

export interface ModelRow {
  readonly name: string
  /** Under which its observer is told of it: the unit that it is a replica of, else its name. Replicas are many, and come and go. */
  readonly label: string
  wanted: WantedState
  /** Once up it is never put to sleep. */
  readonly isPinned: boolean
  /** Without a call for so long it is put to sleep. */
  readonly idleTimeoutMs: number
  /** What all its workers take together; null = not known yet: it cannot be started. */
  needBytes: number | null
  phase: ModelPhase
  /** Calls that were let in and have not left; those of a process that was lost leave on their own. */
  numRunning: number
  numHeld: number
  /** Arrival of the call that is held longest; null = none is. */
  oldestHeldMs: number | null
  /** When a call came or ended last; registration before that. */
  lastUseMs: number
  /** null = not ready. */
  readySinceMs: number | null
  /** Starts in a row that failed. */
  numFailures: number
  /** Not started before; it failed. */
  notBeforeMs: number
  /** Why the last start failed; null since one succeeded. */
  problem: ErrorRecord | null
}

export interface RowTerms {
  readonly name: string
  /** null = its name. */
  readonly label?: string | null
  readonly wanted: WantedState
  readonly isPinned: boolean
  readonly idleTimeoutMs: number
  readonly needBytes: number | null
}

export function coldRow(terms: RowTerms, nowMs: number): ModelRow {
  return {
    ...terms,
    label: terms.label ?? terms.name,
    phase: 'cold',
    numRunning: 0,
    numHeld: 0,
    oldestHeldMs: null,
    lastUseMs: nowMs,
    readySinceMs: null,
    numFailures: 0,
    notBeforeMs: 0,
    problem: null,
  }
}

/** What the ledger has for it: everything until its process is gone. */
export function heldBytes({ phase, needBytes }: ModelRow): number {
  return phase === 'cold' ? 0 : (needBytes ?? 0)
}

/** Nobody would notice if it went. */
export function isIdle({ numRunning, numHeld }: ModelRow): boolean {
  return numRunning === 0 && numHeld === 0
}

/** Stays once it is up: no other model may have its memory. */
export function isKept({ wanted, isPinned }: ModelRow): boolean {
  return wanted === 'awake' || (wanted === 'on-demand' && isPinned)
}

export function checkRow(row: ModelRow): void {
  const { name, phase, numRunning, numHeld, oldestHeldMs, readySinceMs, needBytes } = row
  assert(numRunning >= 0 && numHeld >= 0, `${name}: calls are counted`)
  assert((numHeld === 0) === (oldestHeldMs === null), `${name}: who is held has an arrival`)
  assert((readySinceMs !== null) === (phase === 'ready' || phase === 'draining'), `${name}: ready since, while it is`)
  assert(phase === 'cold' || needBytes !== null, `${name}: only what has a known need is started`)
  assert(phase !== 'ready' || numHeld === 0, `${name}: nobody is held by a model that is ready`)
}
