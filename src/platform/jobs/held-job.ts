/** One job in the hands of this process, from its claim to the change that lets go of it. */
import { InferdError, toErrorRecord } from '#contract/errors'
import type { JobCounts } from '#contract/job'
import type { JobChange, JobRow } from '#platform/store/job-rows'
import type { JobHandler, JobLease } from './job-handler.ts'
import { CANCELLED, close, doom, EXPIRED, fault, type FaultTerms, finish, forgiven, giveBack, noteCounts } from './job-machine.ts'
import type { KeptRecords } from './kept-records.ts'
import { errorOf, viewOf } from './job-view.ts'

export interface HeldJobParts {
  readonly row: JobRow
  readonly handler: JobHandler
  readonly records: KeptRecords
  readonly wallMs: () => number
  /** Of its next fault. */
  readonly faultTerms: (row: JobRow) => FaultTerms
}

/** Why a lease is over. lost: somebody else holds the job, or may. */
export type LeaseEnd = 'cancelled' | 'expired' | 'stopped' | 'lost'

const REASONS: Readonly<Record<LeaseEnd, InferdError>> = {
  cancelled: new InferdError('cancelled', 'the job was cancelled'),
  expired: new InferdError('deadline_exceeded', 'the job expired before it ended'),
  stopped: new InferdError('shutting_down', 'the server is shutting down'),
  lost: new InferdError('conflict', 'the job is not held by this attempt any more'),
}
/** A closing that fails so often ends the job without having told of it. */
const MAX_CLOSING_FAULTS = 8

export class HeldJob {
  /** As it was claimed, and as this process has changed it since. */
  row: JobRow
  private readonly parts: HeldJobParts
  private readonly controller = new AbortController()
  private leaseEnd: LeaseEnd | null = null
  private noted: JobCounts | null = null

  constructor(parts: HeldJobParts) {
    this.parts = parts
    this.row = parts.row
  }

  get end(): LeaseEnd | null {
    return this.leaseEnd
  }

  /** The first reason counts, but for lost, which always does. */
  stop(end: LeaseEnd): void {
    if (this.leaseEnd === null || end === 'lost') this.leaseEnd = end
    if (!this.controller.signal.aborted) this.controller.abort(REASONS[end])
  }

  /** Counts that are not written yet; they are then. */
  takeNote(): JobChange | null {
    const { noted } = this
    this.noted = null
    return noted === null || this.row.phase !== 'running' ? null : noteCounts(this.row, noted)
  }

  /** Does what is due. The change that follows; null = the lease is lost and the job is somebody else's. Never rejects. */
  async work(): Promise<JobChange | null> {
    const change = this.row.phase === 'running' ? await this.run() : await this.close()
    // What was noted last stays when the attempt goes wrong.
    const note = this.takeNote()
    return this.leaseEnd === 'lost' ? null : { ...change, patch: { ...note?.patch, ...change.patch } }
  }

  private async run(): Promise<JobChange> {
    const { handler, records, wallMs, faultTerms } = this.parts
    try {
      const ending = await handler.run(viewOf(this.row), this.lease())
      return finish(this.row, ending, wallMs())
    } catch (error) {
      const row = records.hasNew ? forgiven(this.row) : this.row
      switch (this.leaseEnd) {
        case 'stopped':
          return giveBack(row)
        case 'cancelled':
          return doom(row, 'cancelled', CANCELLED)
        case 'expired':
          return doom(row, 'expired', EXPIRED)
        case 'lost':
        case null:
          return fault(row, toErrorRecord(error), faultTerms(row))
      }
    }
  }

  private async close(): Promise<JobChange> {
    const { handler, records, wallMs, faultTerms } = this.parts
    const error = errorOf(this.row) ?? CANCELLED
    try {
      return close(this.row, await handler.abandon(viewOf(this.row), error, records), wallMs())
    } catch (failure) {
      const terms = faultTerms(this.row)
      if (this.leaseEnd === 'stopped') return giveBack(this.row)
      return this.row.num_faults + 1 >= MAX_CLOSING_FAULTS ? close(this.row, null, wallMs()) : fault(this.row, toErrorRecord(failure), terms)
    }
  }

  private lease(): JobLease {
    const note = (counts: JobCounts): void => {
      this.noted = counts
    }
    return { signal: this.controller.signal, records: this.parts.records, note }
  }
}
