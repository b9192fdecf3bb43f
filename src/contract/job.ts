/**
 * Work that is accepted now and done later: asynchronous invocations, batches, transforms. A job is durable when its acceptance is told;
 * it runs at least once, and has exactly one visible end. Its records are calls in a caller's dialect that run through the same doors as
 * those from the wire.
 */
import type { ErrorRecord } from '#contract/errors'
import type { JsonRecord } from '#contract/generate'
import type { Principal } from '#contract/principal'

/** async: one record. batch: many, of a file in a dialect of the foundation-model APIs. transform: many, from objects to objects. */
export type JobKind = 'async' | 'batch' | 'transform'

/**
 *   queued -> running -> succeeded | failed
 *     |         |  ^
 *     |         +--+        (its holder died: another attempt)
 *     +---------+-> cancelled | expired
 */
export type JobState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'expired'

export interface JobCounts {
  /** null = not counted yet. */
  readonly total: number | null
  readonly succeeded: number
  readonly failed: number
}

export interface Job {
  readonly id: string
  readonly kind: JobKind
  /** Another team's job is as one that does not exist. */
  readonly team: string
  /** On whose behalf its records run, as it was at acceptance. */
  readonly principal: Principal
  readonly state: JobState
  /** What to do, in the words of its kind. Plain data, never changed. */
  readonly spec: JsonRecord
  readonly labels: Readonly<Record<string, string>>
  /** See JobOrder. */
  readonly lane: string
  readonly startByMs: number | null
  readonly counts: JobCounts
  /** Epoch milliseconds, all of them; null = not yet. */
  readonly createdMs: number
  readonly startedMs: number | null
  readonly endedMs: number | null
  /** What has not ended by then is expired. */
  readonly expiresMs: number
  /** A running job with it ends as cancelled as soon as its holder sees it. */
  readonly cancelRequestedMs: number | null
  /** How often it was begun; also the fence of its holder: writes of an older one are refused. */
  readonly attempt: number
  /** Why it failed, was cancelled or expired. */
  readonly error: ErrorRecord | null
  /** What came of it, in the words of its kind: where results lie. */
  readonly result: JsonRecord | null
}

export interface JobOrder {
  /** Of the new job, for who must name things by it before it is there: unguessable and never used before. The desk makes one when not given. */
  readonly id?: string
  readonly kind: JobKind
  readonly principal: Principal
  readonly spec: JsonRecord
  readonly labels: Readonly<Record<string, string>>
  /** Who waits for whom: jobs of one lane share a bound (JobHandler.maxRunningIn), and a full one holds no other up. '' when not given. */
  readonly lane?: string
  /** From acceptance: what has not begun its first attempt by then is expired and never runs. Only `ttlMs` counts when not given. */
  readonly startWithinMs?: number
  /** From acceptance. */
  readonly ttlMs: number
  /** Two orders of a team with one key are one job; with another `digest` the second is a conflict. null = always a job of its own. */
  readonly idempotency: { readonly key: string; readonly digest: string } | null
}

export interface JobQuery {
  readonly team: string
  readonly kind: JobKind
  /** Equal values only; an empty record matches all. */
  readonly labels: Readonly<Record<string, string>>
  /** Jobs behind this one in the order; null = from the newest. */
  readonly afterId: string | null
  readonly limit: number
}

/** Methods throw store_failed. */
export interface JobDesk {
  /** Resolves when the job is on the disk. Throws conflict, and overloaded at the bound of waiting jobs. */
  submit(order: JobOrder): Promise<Job>
  get(team: string, id: string): Promise<Job | null>
  /** Newest first. */
  list(query: JobQuery): Promise<readonly Job[]>
  /** Idempotent; null = there is none. An ended job stays as it is. */
  cancel(team: string, id: string): Promise<Job | null>
  /** Forgets a job that has ended, with its records; false = there is none. Throws conflict while it has not ended. */
  remove(team: string, id: string): Promise<boolean>
  /** The job at each change, until it has ended. */
  follow(team: string, id: string, signal: AbortSignal): AsyncIterable<Job>
}

/** A call in the words of a dialect, without a connection. */
export interface WireCall {
  readonly principal: Principal
  readonly method: 'GET' | 'POST'
  /** With its query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** True: at the price of batches, in the tier of what is left over. */
  readonly isBatch: boolean
}

export interface WireAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** Runs the call through the server's own door and routes. Answers carry refusals; it throws only for its signal. */
export type RunWireCall = (call: WireCall, signal: AbortSignal) => Promise<WireAnswer>
