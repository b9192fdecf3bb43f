/** What a runner of jobs is made of, and its times and bounds. */
import type { Clock } from '#base/clock'
import type { Random } from '#base/random'
import type { JobStore } from '#platform/store/job-store'
import type { Log } from '#telemetry/log'
import type { JobHandler } from './job-handler.ts'
import type { JobNews } from './job-news.ts'

export interface JobRunnerOptions {
  /** A holder whose beat stands still for so long is dead. */
  readonly leaseMs: number
  readonly beatMs: number
  /** How often the line is looked at when nobody says that it has changed. */
  readonly lookMs: number
  /** Attempts that may go wrong. */
  readonly maxFaults: number
  readonly minBackoffMs: number
  readonly maxBackoffMs: number
  readonly maxClosing: number
}

export const DEFAULT_JOB_RUNNER_OPTIONS: JobRunnerOptions = {
  leaseMs: 15_000,
  beatMs: 3000,
  lookMs: 500,
  maxFaults: 5,
  minBackoffMs: 1000,
  maxBackoffMs: 60_000,
  maxClosing: 16,
}

export interface JobRunnerParts {
  readonly store: JobStore
  readonly news: JobNews
  /** One for each kind at most. */
  readonly handlers: readonly JobHandler[]
  /** Of this process, and new each time: its predecessor may have been declared dead. */
  readonly newHolderId: () => string
  /** Whether a holder has ended for certain; false = not known. */
  readonly isGone: (holder: string) => boolean
  readonly clock: Clock
  readonly random: Random
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
  readonly options?: JobRunnerOptions
}
