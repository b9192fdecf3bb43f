/** Desk and runner on a store, as one process has them. */
import { afterEach } from 'vitest'
import { systemClock } from '#base/clock'
import { randomId, SeededRandom } from '#base/random'
import type { Job, JobOrder } from '#contract/job'
import { LOCAL_PRINCIPAL, type Principal } from '#contract/principal'
import { StoredJobs } from '#platform/jobs/job-desk'
import type { JobEnding, JobHandler } from '#platform/jobs/job-handler'
import { JobNews } from '#platform/jobs/job-news'
import { JobRunner } from '#platform/jobs/job-runner'
import { DEFAULT_JOB_RUNNER_OPTIONS } from '#platform/jobs/runner-parts'
import { JobStore } from '#platform/store/job-store'
import type { Store } from '#platform/store/open-store'

export const DONE: JobEnding = { state: 'succeeded', counts: { total: 1, succeeded: 1, failed: 0 }, result: { at: 's3://x/y' }, error: null }
const BOUNDS = { maxWaiting: 1000, maxWaitingPerTeam: 1000 }
export const OPTIONS = { ...DEFAULT_JOB_RUNNER_OPTIONS, minBackoffMs: 5, maxBackoffMs: 20, lookMs: 20, beatMs: 40, leaseMs: 60_000 }

export function team(name: string): Principal {
  return { ...LOCAL_PRINCIPAL, team: name }
}

export function order(more: Partial<JobOrder> = {}): JobOrder {
  return { kind: 'async', principal: LOCAL_PRINCIPAL, spec: { say: 'hello' }, labels: {}, ttlMs: 3_600_000, idempotency: null, ...more }
}

interface Work {
  readonly run?: JobHandler['run']
  readonly abandon?: JobHandler['abandon']
  readonly maxRunning?: number
  readonly maxRunningIn?: (lane: string) => number
}

interface PlaceTerms {
  readonly bounds?: typeof BOUNDS
  readonly holder?: string
  readonly leaseMs?: number
  /** What was told to the operator. */
  readonly complaints?: unknown[]
}

interface Place {
  readonly desk: StoredJobs
  readonly runner: JobRunner
}

const running: JobRunner[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((runner) => runner.drain(1000)))
})

export function placeOn(
  store: Store,
  work: Work | null,
  { bounds = BOUNDS, holder = 'holder', leaseMs = OPTIONS.leaseMs, complaints = [] }: PlaceTerms = {},
): Place {
  const jobs = new JobStore(store.db)
  const news = new JobNews()
  const desk = new StoredJobs({ store: jobs, news, bounds, clock: systemClock, newId: randomId })
  const { run = async () => DONE, abandon = async () => null, maxRunning = 4, maxRunningIn } = work ?? {}
  const handler: JobHandler = { kind: 'async', maxRunning, run, abandon, ...(maxRunningIn === undefined ? {} : { maxRunningIn }) }
  const runner = new JobRunner({
    store: jobs,
    news,
    handlers: [handler],
    newHolderId: () => randomId(holder),
    isGone: () => false,
    clock: systemClock,
    random: new SeededRandom(1),
    log: { info: () => {}, warn: (fields) => void complaints.push(fields), error: (fields) => void complaints.push(fields) },
    options: { ...OPTIONS, leaseMs },
  })
  if (work !== null) {
    runner.start()
    running.push(runner)
  }
  return { desk, runner }
}

export async function endOf(desk: StoredJobs, { id, principal }: Pick<Job, 'id' | 'principal'>): Promise<Job> {
  let last: Job | null = null
  for await (const job of desk.follow(principal.team, id, AbortSignal.timeout(10_000))) last = job
  return last!
}
