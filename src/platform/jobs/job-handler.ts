/** What a kind of work does with its jobs. The runner owns claims, leases, attempts and ends; a handler only does the work. */
import type { ErrorRecord } from '#contract/errors'
import type { Job, JobCounts, JobKind, JobState } from '#contract/job'
import type { JsonRecord } from '#contract/generate'

/** The outcome of one record of a job, as it will be shown. */
export interface RecordOutcome {
  readonly index: number
  readonly isOk: boolean
  /** In the words of the job's dialect; one line of its output. */
  readonly line: string
}

/** Outcomes that are kept while a job runs, so that another attempt repeats no finished record. */
export interface JobRecords {
  /** Durable when it resolves; many share one commit. The first outcome of an index stays. Throws conflict when the lease is lost. */
  put(outcome: RecordOutcome): Promise<void>
  /** The outcomes that are kept, without their lines; by index, ascending. */
  finished(): AsyncIterable<Pick<RecordOutcome, 'index' | 'isOk'>>
  /** By index, ascending. */
  read(): AsyncIterable<RecordOutcome>
}

export interface JobLease {
  /** Aborts when the job is cancelled or has expired, when the lease is lost, and when the server stops; its reason says which. */
  readonly signal: AbortSignal
  readonly records: JobRecords
  /** What callers see as progress; written now and then. */
  readonly note: (counts: JobCounts) => void
}

export interface JobEnding {
  readonly state: Extract<JobState, 'succeeded' | 'failed'>
  readonly counts: JobCounts
  readonly result: JsonRecord | null
  readonly error: ErrorRecord | null
}

export interface JobHandler {
  readonly kind: JobKind
  /** Jobs of this kind that run at a time. */
  readonly maxRunning: number
  /** Of these, in one lane; maxRunning when not given. Asked again before each claim. */
  readonly maxRunningIn?: (lane: string) => number
  /**
   * Does the work and publishes what came of it, so that a second run of the same attempt number or a later one changes nothing that is
   * visible. Throws InferdError for what another attempt may heal; the last attempt's error is the job's.
   */
  run(job: Job, lease: JobLease): Promise<JobEnding>
  /**
   * A job ended without `run` having ended it: cancelled, expired, or out of attempts. Publishes that, and what `records` holds of it, where
   * the kind shows failures. May run again when it throws or the process dies; the job shows its end when it has resolved.
   */
  abandon(job: Job, error: ErrorRecord, records: Pick<JobRecords, 'finished' | 'read'>): Promise<JsonRecord | null>
}
