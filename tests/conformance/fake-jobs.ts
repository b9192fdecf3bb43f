/** A desk whose jobs wait for ever, and objects that are all there: what dialects say of batches is looked at, and nothing runs. */
import { type BatchResult, NO_BATCH_USAGE, planOf } from '#contract/batch'
import type { Job, JobDesk, JobOrder, JobQuery } from '#contract/job'
import type { Bucket, ObjectStores } from '#contract/objects'

/** One who cancels gets one record of two that was done, and the input as the output. */
export class FakeJobs implements JobDesk {
  private readonly wallMs: number
  /** The oldest first. */
  private readonly jobs = new Map<string, Job>()

  constructor(wallMs: number) {
    this.wallMs = wallMs
  }

  async submit({ id = 'job-1', kind, principal, spec, labels, lane = '', ttlMs }: JobOrder): Promise<Job> {
    const job: Job = {
      id,
      kind,
      team: principal.team,
      principal,
      state: 'queued',
      spec,
      labels,
      lane,
      startByMs: null,
      counts: { total: null, succeeded: 0, failed: 0 },
      createdMs: this.wallMs,
      startedMs: null,
      endedMs: null,
      expiresMs: this.wallMs + ttlMs,
      cancelRequestedMs: null,
      attempt: 0,
      error: null,
      result: null,
    }
    this.jobs.set(id, job)
    return job
  }

  async get(_team: string, id: string): Promise<Job | null> {
    return this.jobs.get(id) ?? null
  }

  async list({ labels, limit }: JobQuery): Promise<readonly Job[]> {
    const isAsked = (job: Job): boolean => Object.entries(labels).every(([name, value]) => job.labels[name] === value)
    return [...this.jobs.values()].filter(isAsked).toReversed().slice(0, limit)
  }

  async cancel(_team: string, id: string): Promise<Job | null> {
    const job = this.jobs.get(id)
    if (job === undefined) return null
    const { input } = planOf(job)
    const counts = { total: 2, succeeded: 1, failed: 0 }
    const usage = { ...NO_BATCH_USAGE, inputTokens: 7, outputTokens: 3 }
    const outputFileId = input.kind === 'file' ? input.fileId : null
    const result: BatchResult = { counts, usage, faults: [], outputFileId, errorFileId: null, finalizingMs: null }
    const cancelled: Job = {
      ...job,
      state: 'cancelled',
      startedMs: this.wallMs + 1000,
      cancelRequestedMs: this.wallMs + 2000,
      endedMs: this.wallMs + 3000,
      result: result as unknown as Job['result'],
    }
    this.jobs.set(id, cancelled)
    return cancelled
  }

  async remove(_team: string, id: string): Promise<boolean> {
    return this.jobs.delete(id)
  }

  follow(): never {
    throw new RangeError('nobody follows a job of this desk')
  }
}

/** Every location is an object of the same contents. */
export class FakeObjects implements ObjectStores {
  private readonly bucket: Pick<Bucket, 'head'> = {
    head: async (key) => ({ key, numBytes: 2, contentType: 'application/jsonl', etag: '"1"', modifiedMs: 0 }),
  }

  locate(_team: string, uri: string): ReturnType<ObjectStores['locate']> {
    const [bucketName = '', ...rest] = uri.slice('s3://'.length).split('/')
    return { bucket: this.bucket as Bucket, bucketName, key: rest.join('/') }
  }

  uriOf(bucketName: string, key: string): string {
    return `s3://${bucketName}/${key}`
  }

  defaultBucket(): string {
    return 'inferd-local'
  }
}
