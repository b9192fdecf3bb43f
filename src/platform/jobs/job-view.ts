/** Between a job as callers and handlers see it and its row. */
import type { ErrorRecord } from '#contract/errors'
import type { JsonRecord } from '#contract/generate'
import type { Job, JobOrder, JobState } from '#contract/job'
import type { Principal } from '#contract/principal'
import type { JobRow } from '#platform/store/job-rows'

/** A job that waits for another attempt is still running for those who look; its verdict and error are told when it has ended. */
export function viewOf(row: JobRow): Job {
  const { id, kind, lane, team, attempt } = row
  return {
    id,
    kind,
    lane,
    team,
    attempt,
    principal: JSON.parse(row.principal) as Principal,
    state: stateOf(row),
    spec: JSON.parse(row.spec) as JsonRecord,
    labels: JSON.parse(row.labels) as Readonly<Record<string, string>>,
    counts: { total: row.num_records, succeeded: row.num_succeeded, failed: row.num_failed },
    createdMs: row.created_ms,
    startedMs: row.started_ms,
    endedMs: row.ended_ms,
    expiresMs: row.expires_ms,
    startByMs: row.start_by_ms,
    cancelRequestedMs: row.cancel_ms,
    error: row.ended_ms === null ? null : errorOf(row),
    result: row.result === null ? null : (JSON.parse(row.result) as JsonRecord),
  }
}

export function errorOf({ error }: JobRow): ErrorRecord | null {
  return error === null ? null : (JSON.parse(error) as ErrorRecord)
}

export function newRow(id: string, order: JobOrder, nowMs: number): JobRow {
  const { kind, lane = '', principal, spec, labels, ttlMs, startWithinMs, idempotency } = order
  const expires_ms = nowMs + ttlMs
  const start_by_ms = startWithinMs === undefined ? null : nowMs + startWithinMs
  return {
    id,
    kind,
    lane,
    team: principal.team,
    phase: 'waiting',
    verdict: null,
    principal: JSON.stringify(principal),
    spec: JSON.stringify(spec),
    labels: JSON.stringify(labels),
    num_records: null,
    num_succeeded: 0,
    num_failed: 0,
    created_ms: nowMs,
    started_ms: null,
    ended_ms: null,
    expires_ms,
    start_by_ms,
    cancel_ms: null,
    ready_ms: nowMs,
    due_ms: Math.min(expires_ms, start_by_ms ?? expires_ms),
    attempt: 0,
    num_faults: 0,
    holder: null,
    error: null,
    result: null,
    idempotency_key: idempotency?.key ?? null,
    idempotency_digest: idempotency?.digest ?? null,
  }
}

function stateOf({ phase, verdict, started_ms }: JobRow): JobState {
  if (phase === 'ended' && verdict !== null) return verdict
  return started_ms === null ? 'queued' : 'running'
}
