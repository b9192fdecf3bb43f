/**
 * The life of a job as a pure machine over its row: who may move it where, and what that changes. A change says from which phase and fence
 * it starts; the store makes it only if the row still stands there, so that of two holders only one counts.
 */
import { assert } from '#base/assert'
import type { ErrorRecord } from '#contract/errors'
import type { JobCounts } from '#contract/job'
import type { JobChange, JobPhase, JobRow, JobVerdict } from '#platform/store/job-rows'
import type { JobEnding } from './job-handler.ts'

/** A phase may also be moved to itself by whoever holds the job: counts and requests of cancellation. */
const MOVES: Readonly<Record<JobPhase, readonly JobPhase[]>> = {
  waiting: ['running', 'doomed'],
  running: ['running', 'waiting', 'doomed', 'closing', 'ended'],
  doomed: ['closing'],
  closing: ['doomed', 'ended'],
  ended: [],
}

export interface FaultTerms {
  /** So many attempts in a row may go wrong. */
  readonly maxFaults: number
  /** Before the next attempt. */
  readonly backoffMs: number
  readonly nowMs: number
}

export const CANCELLED: ErrorRecord = { code: 'cancelled', message: 'the job was cancelled', param: null, retryAfterMs: null }
export const EXPIRED: ErrorRecord = { code: 'deadline_exceeded', message: 'the job expired before it ended', param: null, retryAfterMs: null }
const NEVER_STARTED: ErrorRecord = { code: 'deadline_exceeded', message: 'the job expired before it was begun', param: null, retryAfterMs: null }
const HOLDERS_DIED: ErrorRecord = { code: 'replica_lost', message: 'the server died at every attempt', param: null, retryAfterMs: null }

/** What a waiting job is next: null = it may be run. */
export function doomOf(row: JobRow, nowMs: number): JobChange | null {
  assert(row.phase === 'waiting', `a ${row.phase} job is judged as a waiting one`)
  if (row.cancel_ms !== null) return doom(row, 'cancelled', CANCELLED)
  if (row.due_ms === null || row.due_ms > nowMs) return null
  return doom(row, 'expired', row.started_ms === null ? NEVER_STARTED : EXPIRED)
}

/** waiting: to be run; doomed: to be closed. Its fence is the attempt after. */
export function claim(row: JobRow, holder: string, nowMs: number): JobChange {
  assert(row.phase === 'waiting' || row.phase === 'doomed', `a ${row.phase} job is claimed`)
  const attempt = row.attempt + 1
  if (row.phase === 'doomed') return move(row, 'closing', { attempt, holder })
  return move(row, 'running', { attempt, holder, due_ms: null, started_ms: row.started_ms ?? nowMs })
}

/** The holder stops: at once in line again, where it was. No attempt is lost. */
export function giveBack(row: JobRow): JobChange {
  return row.phase === 'closing' ? move(row, 'doomed', { holder: null }) : backInLine(row, { ready_ms: row.ready_ms })
}

/** As it stands when an outcome of this attempt is kept: those that went wrong before it count no more. */
export function forgiven(row: JobRow): JobRow {
  return { ...row, num_faults: 0 }
}

/** The attempt went wrong; another may heal it. The last one dooms the job. Held jobs stay held, so that their holder closes them. */
export function fault(row: JobRow, error: ErrorRecord, terms: FaultTerms): JobChange {
  assert(row.holder !== null, `an attempt of a ${row.phase} job goes wrong`)
  const num_faults = row.num_faults + 1
  const ready_ms = terms.nowMs + terms.backoffMs
  if (row.phase === 'closing') return move(row, 'doomed', { holder: null, num_faults, ready_ms })
  if (num_faults >= terms.maxFaults) return doom(row, 'failed', error)
  return backInLine(row, { num_faults, ready_ms })
}

/** Its holder died. Somebody else tells. */
export function orphan(row: JobRow, terms: FaultTerms): JobChange {
  const change = fault(row, HOLDERS_DIED, terms)
  return change.to === 'closing' ? move(row, 'doomed', { ...change.patch, holder: null }) : change
}

/** A waiting one is in line to be closed, one that is held stays with its holder. */
export function doom(row: JobRow, verdict: JobVerdict, error: ErrorRecord): JobChange {
  const patch = { verdict, error: JSON.stringify(error), num_faults: 0 }
  return row.phase === 'waiting' ? move(row, 'doomed', { ...patch, due_ms: null, ready_ms: 0 }) : move(row, 'closing', patch)
}

/** null = there is nothing to change: it was asked before, or it is over. */
export function requestCancel(row: JobRow, nowMs: number): JobChange | null {
  if (row.phase !== 'waiting' && row.phase !== 'running') return null
  if (row.phase === 'running') return row.cancel_ms === null ? move(row, 'running', { cancel_ms: nowMs }) : null
  const { patch, ...rest } = doom(row, 'cancelled', CANCELLED)
  return { ...rest, patch: { ...patch, cancel_ms: row.cancel_ms ?? nowMs } }
}

export function noteCounts(row: JobRow, counts: JobCounts): JobChange {
  return move(row, 'running', countColumns(counts))
}

/** The work is done. */
export function finish(row: JobRow, { state, counts, result, error }: JobEnding, nowMs: number): JobChange {
  assert(row.phase === 'running', `a ${row.phase} job is finished by its work`)
  return end(row, nowMs, { verdict: state, ...countColumns(counts), result: jsonOrNull(result), error: jsonOrNull(error) })
}

/** What was doomed has been told of. */
export function close(row: JobRow, result: JobEnding['result'], nowMs: number): JobChange {
  assert(row.phase === 'closing' && row.verdict !== null, `a ${row.phase} job is closed`)
  return end(row, nowMs, { result: jsonOrNull(result) })
}

/** The row after the change. */
export function changed(row: JobRow, { to, patch }: JobChange): JobRow {
  return { ...row, ...patch, phase: to }
}

/** What holds for every row. Throws BugError. */
export function checkRow(row: JobRow): void {
  const isHeld = row.phase === 'running' || row.phase === 'closing'
  assert(isHeld === (row.holder !== null), `a ${row.phase} job has ${row.holder === null ? 'no holder' : 'a holder'}`)
  assert((row.phase === 'waiting') === (row.due_ms !== null), `a ${row.phase} job is ${row.due_ms === null ? 'never' : 'at some time'} overdue`)
  assert((row.phase === 'ended') === (row.ended_ms !== null), `a ${row.phase} job ended at ${row.ended_ms}`)
  const hasVerdict = row.phase === 'doomed' || row.phase === 'closing' || row.phase === 'ended'
  assert(hasVerdict === (row.verdict !== null), `a ${row.phase} job has the verdict ${row.verdict}`)
  assert(row.error === null || hasVerdict, `a ${row.phase} job has the error ${row.error}`)
  assert(row.phase !== 'running' || row.started_ms !== null, 'a running job was never begun')
}

function backInLine(row: JobRow, patch: JobChange['patch']): JobChange {
  return move(row, 'waiting', { holder: null, due_ms: row.expires_ms, ...patch })
}

function end(row: JobRow, nowMs: number, patch: JobChange['patch']): JobChange {
  return move(row, 'ended', { ...patch, holder: null, ended_ms: nowMs })
}

function move(row: JobRow, to: JobPhase, patch: JobChange['patch']): JobChange {
  assert(MOVES[row.phase].includes(to), `a ${row.phase} job cannot be ${to}`)
  const change: JobChange = {
    id: row.id,
    line: { kind: row.kind, lane: row.lane, team: row.team },
    from: { phase: row.phase, attempt: row.attempt },
    to,
    patch,
  }
  checkRow(changed(row, change))
  return change
}

function countColumns({ total, succeeded, failed }: JobCounts): JobChange['patch'] {
  return { num_records: total, num_succeeded: succeeded, num_failed: failed }
}

function jsonOrNull(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value)
}
