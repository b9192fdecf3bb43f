/** Forgets jobs that ended long ago, and what was left of them. Page by page, so that others write between. */
import type { Clock } from '#base/clock'
import type { JobStore } from '#platform/store/job-store'

export interface JobSweep {
  readonly store: Pick<JobStore, 'forgetEnded' | 'endedWithRecords' | 'forgetLines' | 'records'>
  readonly clock: Clock
  readonly retentionMs: number
  readonly onFailure: (error: unknown) => void
}

const EVERY_MS = 600_000
const JOBS_PER_PAGE = 100

/** Until the signal aborts. Never rejects. */
export async function sweepJobs(sweep: JobSweep, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sweepOnce(sweep, signal).catch(sweep.onFailure)
    await sweep.clock.sleep(EVERY_MS, signal).catch(() => {})
  }
}

async function sweepOnce({ store, clock, retentionMs }: JobSweep, signal: AbortSignal): Promise<void> {
  for (let numGone = JOBS_PER_PAGE; numGone === JOBS_PER_PAGE && !signal.aborted;) {
    numGone = await store.forgetEnded(clock.wallMs() - retentionMs, JOBS_PER_PAGE)
  }
  for (const id of await store.endedWithRecords(JOBS_PER_PAGE)) await store.records.clear(id)
  await store.forgetLines()
}
