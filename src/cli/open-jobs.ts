/**
 * Jobs put together: the desk is there when the server opens, handlers run when the server can be called without a connection. Started
 * last, drained first.
 */
import type { Clock } from '#base/clock'
import { randomId, type Random } from '#base/random'
import type { JobsConfig } from '#config/platform-file/jobs'
import type { JobDesk, RunWireCall } from '#contract/job'
import { StoredJobs } from '#platform/jobs/job-desk'
import type { JobHandler } from '#platform/jobs/job-handler'
import { JobNews } from '#platform/jobs/job-news'
import { JobRunner } from '#platform/jobs/job-runner'
import { DEFAULT_JOB_RUNNER_OPTIONS } from '#platform/jobs/runner-parts'
import { sweepJobs } from '#platform/jobs/sweep-jobs'
import { JobStore } from '#platform/store/job-store'
import type { Store } from '#platform/store/open-store'
import type { Log } from '#telemetry/log'
import { holdersHere } from './holders-here.ts'

const DAY_MS = 86_400_000

export interface JobParts {
  readonly store: Store
  readonly config: JobsConfig
  /** One for each kind that this server does. */
  readonly makers: readonly MakeHandler[]
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface Jobs {
  readonly desk: JobDesk
  /** Once, when the server can be called: what waits begins to run. */
  start(runCall: RunWireCall): void
  /** Takes no more; what does not end in time is in line again. Before the server closes, whose calls the jobs make. */
  drain(options: { readonly graceMs: number }): Promise<void>
}

/** Makes the handler of a kind, once calls can be made. */
export type MakeHandler = (runCall: RunWireCall, desk: JobDesk) => JobHandler

export function openJobs({ store, config, makers, clock, random, log }: JobParts): Jobs {
  const jobs = new JobStore(store.db)
  const news = new JobNews()
  const { maxWaiting, maxWaitingPerTeam, maxAttempts, retentionDays } = config
  const desk = new StoredJobs({ store: jobs, news, bounds: { maxWaiting, maxWaitingPerTeam }, clock, newId: randomId })
  const closing = new AbortController()
  let runner: JobRunner | null = null
  const start = (runCall: RunWireCall): void => {
    const handlers = makers.map((make) => make(runCall, desk))
    const options = { ...DEFAULT_JOB_RUNNER_OPTIONS, maxFaults: maxAttempts }
    runner = new JobRunner({
      store: jobs,
      news,
      handlers,
      ...holdersHere(store, 'holder'),
      clock,
      random,
      log,
      options,
    })
    runner.start()
    const onFailure = (err: unknown): void => log.error({ err }, 'jobs could not be swept')
    void sweepJobs({ store: jobs, clock, retentionMs: retentionDays * DAY_MS, onFailure }, closing.signal)
  }
  const drain = async ({ graceMs }: { readonly graceMs: number }): Promise<void> => {
    closing.abort()
    await runner?.drain(graceMs)
  }
  return { desk, start, drain }
}
