/** `inferd jobs`: they work on the data directory, beside a running server or without one. */
import { systemClock } from '#base/clock'
import { randomId } from '#base/random'
import type { DataConfig } from '#config/schema'
import { InferdError } from '#contract/errors'
import type { Job, JobDesk, JobKind } from '#contract/job'
import { TRANSFORM_NAME_LABEL } from '#contract/transform'
import { StoredJobs } from '#platform/jobs/job-desk'
import { JobNews } from '#platform/jobs/job-news'
import { JobStore } from '#platform/store/job-store'
import { openDataDir } from './data-dir.ts'
import { openDataStore } from './open-data-store.ts'
import { ProgressBar } from './progress-bar.ts'

export interface JobArgument {
  readonly team: string
  /** Its id, or the name of a transform. */
  readonly job: string
}

const KINDS: readonly JobKind[] = ['async', 'batch', 'transform']
const MAX_LISTED = 100
/** These commands look and take back; they hand nothing in. */
const NO_ROOM = { maxWaiting: 0, maxWaitingPerTeam: 0 }

/** Throws InferdError, as the others do. */
export function listJobs(
  data: DataConfig,
  { team, kind, json }: { readonly team: string; readonly kind: JobKind | null; readonly json: boolean },
): Promise<void> {
  return withDesk(data, async (desk) => {
    const kinds = kind === null ? KINDS : [kind]
    const found = await Promise.all(kinds.map((each) => desk.list({ team, kind: each, labels: {}, afterId: null, limit: MAX_LISTED })))
    const jobs = found
      .flat()
      .toSorted((left, right) => right.createdMs - left.createdMs)
      .slice(0, MAX_LISTED)
    process.stdout.write(json ? `${JSON.stringify(jobs.map(shown), null, 2)}\n` : jobs.map((job) => `${lineOf(job)}\n`).join(''))
  })
}

/** Throws what the job has failed of, so that scripts see it. */
export function watchJob(data: DataConfig, { team, job }: JobArgument, signal: AbortSignal): Promise<void> {
  return withDesk(data, async (desk) => {
    const { id } = await needJob(desk, { team, job })
    const bar = new ProgressBar(job, process.stderr, (total) => `${total} records`)
    let last: Job | null = null
    for await (const seen of desk.follow(team, id, signal)) {
      last = seen
      const { total, succeeded, failed } = seen.counts
      if (total !== null) bar.update(succeeded + failed, total)
    }
    bar.end()
    if (last === null) return
    process.stdout.write(`${lineOf(last)}\n`)
    if (last.state === 'failed' || last.state === 'expired')
      throw new InferdError(last.error?.code ?? 'internal', last.error?.message ?? 'the job failed')
  })
}

export function cancelJob(data: DataConfig, argument: JobArgument): Promise<void> {
  return withDesk(data, async (desk) => {
    const { id, team } = await needJob(desk, argument)
    const job = await desk.cancel(team, id)
    if (job !== null) process.stdout.write(`${lineOf(job)}\n`)
  })
}

async function withDesk(data: DataConfig, work: (desk: JobDesk) => Promise<void>): Promise<void> {
  const store = await openDataStore(data, openDataDir(data.dataDir))
  try {
    await work(new StoredJobs({ store: new JobStore(store.db), news: new JobNews(), bounds: NO_ROOM, clock: systemClock, newId: randomId }))
  } finally {
    await store.close()
  }
}

async function needJob(desk: JobDesk, { team, job }: JobArgument): Promise<Job> {
  const labels = { [TRANSFORM_NAME_LABEL]: job }
  const found = (await desk.get(team, job)) ?? (await desk.list({ team, kind: 'transform', labels, afterId: null, limit: 1 }))[0]
  if (found === undefined) throw new InferdError('resource_not_found', `there is no job ${job} of the team ${team}`)
  return found
}

function lineOf(job: Job): string {
  const { id, kind, state, counts, createdMs, error } = job
  const total = counts.total === null ? '?' : String(counts.total)
  const progress = `${counts.succeeded + counts.failed} of ${total} records, ${counts.failed} failed`
  const name = job.labels[TRANSFORM_NAME_LABEL]
  const words = [new Date(createdMs).toISOString(), kind.padEnd(9), id, name, isTakenBack(job) ? 'stopping' : state, progress, error?.message]
  return words.filter((word) => word !== undefined).join('  ')
}

function isTakenBack({ endedMs, cancelRequestedMs }: Job): boolean {
  return endedMs === null && cancelRequestedMs !== null
}

function shown({ id, kind, state, labels, counts, createdMs, startedMs, endedMs, attempt, error, result }: Job): object {
  return { id, kind, state, labels, counts, createdMs, startedMs, endedMs, attempt, error, result }
}
