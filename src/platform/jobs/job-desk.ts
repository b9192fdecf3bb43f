/** Where jobs are handed in, looked at and taken back. A job is accepted when it is on the disk, and not before. */
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { Job, JobDesk, JobOrder, JobQuery } from '#contract/job'
import type { JobRow } from '#platform/store/job-rows'
import type { WaitingBounds } from '#platform/store/job-lines'
import { type JobStore, MAX_JOBS_PER_INSERT, type NewJob, type Submission } from '#platform/store/job-store'
import { GroupCommit } from './group-commit.ts'
import type { JobNews } from './job-news.ts'
import { changed, requestCancel } from './job-machine.ts'
import { newRow, viewOf } from './job-view.ts'

export interface JobDeskParts {
  readonly store: Pick<JobStore, 'submit' | 'find' | 'list' | 'apply' | 'forget'>
  readonly news: JobNews
  readonly bounds: WaitingBounds
  readonly clock: Clock
  readonly newId: (prefix: string) => string
}

/** Of an order, in UTF-16 units of its JSON: what is larger belongs in a bucket. */
const MAX_ORDER_LENGTH = 256 * 1024
const MAX_LABELS = 64
const MAX_KEY_LENGTH = 512
/** Submissions that wait for the disk. */
const MAX_WAITING_SUBMISSIONS = 16_384
/** What other processes do is seen after so long. */
const LOOK_AGAIN_MS = 1000
const FULL_RETRY_MS = 10_000
const HEARD = new InferdError('cancelled', 'there is news of the job')

export class StoredJobs implements JobDesk {
  private readonly parts: JobDeskParts
  private readonly submissions: GroupCommit<NewJob, Submission>

  constructor(parts: JobDeskParts) {
    this.parts = parts
    const write = (jobs: readonly NewJob[]): Promise<readonly Submission[]> => parts.store.submit(jobs, parts.bounds)
    this.submissions = new GroupCommit({ write, maxGroup: MAX_JOBS_PER_INSERT, maxWaiting: MAX_WAITING_SUBMISSIONS })
  }

  async submit(order: JobOrder): Promise<Job> {
    const { clock, news, newId } = this.parts
    const row = newRow(order.id ?? newId('job'), order, clock.wallMs())
    checkOrder(order, row)
    const submission = await this.submissions.add({ row, labels: order.labels })
    if (submission.outcome === 'taken') throw new InferdError('conflict', 'there is another job of this id')
    if (submission.outcome === 'full') throw full(submission.isTeam)
    const isSame = submission.row.kind === row.kind && submission.row.idempotency_digest === row.idempotency_digest
    if (!isSame) throw new InferdError('conflict', 'this idempotency key came with another request before')
    if (submission.outcome === 'made') news.tellWork()
    return viewOf(submission.row)
  }

  async get(team: string, id: string): Promise<Job | null> {
    const row = await this.find(team, id)
    return row === null ? null : viewOf(row)
  }

  async list(query: JobQuery): Promise<readonly Job[]> {
    return (await this.parts.store.list(query)).map(viewOf)
  }

  async cancel(team: string, id: string): Promise<Job | null> {
    const { store, clock, news } = this.parts
    for (;;) {
      const row = await this.find(team, id)
      if (row === null) return null
      const change = requestCancel(row, clock.wallMs())
      if (change === null) return viewOf(row)
      const made = await store.apply([change])
      // Somebody has moved it meanwhile: each move brings it nearer to its end.
      if (made?.[0] !== true) continue
      news.tell(id)
      news.tellCancel(id)
      news.tellWork()
      return viewOf(changed(row, change))
    }
  }

  async remove(team: string, id: string): Promise<boolean> {
    const row = await this.find(team, id)
    if (row === null) return false
    if (row.phase !== 'ended') throw new InferdError('conflict', 'the job has not ended: cancel it first')
    return this.parts.store.forget(id)
  }

  async *follow(team: string, id: string, signal: AbortSignal): AsyncGenerator<Job> {
    const { clock, news } = this.parts
    for (let told = ''; ;) {
      const { heard, forget } = news.next(id)
      const over = new AbortController()
      try {
        const job = await this.get(team, id)
        signal.throwIfAborted()
        if (job === null) return
        const text = JSON.stringify(job)
        if (text !== told) yield job
        told = text
        if (job.endedMs !== null) return
        const lookAgain = clock.sleep(LOOK_AGAIN_MS, AbortSignal.any([signal, over.signal]))
        await Promise.race([heard, lookAgain])
        lookAgain.catch(() => {})
      } finally {
        forget()
        over.abort(HEARD)
      }
    }
  }

  private async find(team: string, id: string): Promise<JobRow | null> {
    const row = await this.parts.store.find(id)
    return row?.team === team ? row : null
  }
}

/** Throws payload_too_large, and invalid_parameter for texts that not every store can keep: of a group that is written, none may stop the others. */
function checkOrder({ labels, idempotency }: JobOrder, row: JobRow): void {
  const length = row.spec.length + row.labels.length + row.principal.length
  if (length > MAX_ORDER_LENGTH || Object.keys(labels).length > MAX_LABELS)
    throw new InferdError('payload_too_large', `the description of a job has at most ${MAX_ORDER_LENGTH} characters and ${MAX_LABELS} labels`)
  if ((idempotency?.key.length ?? 0) > MAX_KEY_LENGTH)
    throw new InferdError('invalid_parameter', `an idempotency key has at most ${MAX_KEY_LENGTH} characters`)
  const texts = [row.id, row.lane, row.team, idempotency?.key ?? '', idempotency?.digest ?? '', ...Object.entries(labels).flat()]
  if (texts.some((text) => text.includes('\0') || !text.isWellFormed()))
    throw new InferdError('invalid_parameter', 'labels and idempotency keys have no zero characters and no halves of characters')
}

function full(isTeam: boolean): InferdError {
  const message = isTeam ? 'too many jobs of this team wait' : 'too many jobs wait on this server'
  return new InferdError('overloaded', message, { retryAfterMs: FULL_RETRY_MS })
}
