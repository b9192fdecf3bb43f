/**
 * What a batch is as a job: its input is checked whole, its records run a bounded number at a time, each outcome is kept when it is known,
 * and the output is published once, in the order of the input, before the job ends. Cancelled and expired batches show what was done.
 */
import { assert } from '#base/assert'
import { type BatchFault, type BatchFormat, type BatchResult, NO_BATCH_USAGE, planOf, type UnfinishedReason } from '#contract/batch'
import { type ErrorRecord, InferdError } from '#contract/errors'
import type { JsonRecord } from '#contract/generate'
import type { Job } from '#contract/job'
import type { JobEnding, JobHandler, JobLease, JobRecords } from '#platform/jobs/job-handler'
import type { CallerPorts } from './answer-record.ts'
import { type InputPorts, type PlacedLine, readInput } from './batch-input.ts'
import type { BatchSubject } from './batch-subject.ts'
import { checkInput, type InputCheck } from './check-input.ts'
import { type OutputLine, type OutputTally, tallied, withUnfinished } from './output-lines.ts'
import { type OutputTarget, publishOutput, type Published } from './publish-output.ts'
import { type RecordRunLimits, runRecords } from './run-records.ts'

export interface BatchHandlerOptions {
  readonly formats: readonly BatchFormat[]
  readonly caller: CallerPorts
  readonly input: InputPorts & Pick<OutputTarget, 'files' | 'objects'>
  readonly limits: RecordRunLimits
  readonly maxRunning: number
  readonly maxRunningOfTeam: number
}

export const DEFAULT_BATCH_LIMITS = {
  maxRunning: 8,
  maxRunningOfTeam: 2,
  limits: { maxRecords: 32, maxBytes: 64 * 2 ** 20 },
  maxRecordMs: 3_600_000,
  /** More than a body may have; what is in between is the record's own error. */
  maxLineBytes: 16 * 2 ** 20,
} as const

export class BatchHandler implements JobHandler {
  readonly kind = 'batch'
  readonly maxRunning: number
  /** Lanes are teams. */
  readonly maxRunningIn: () => number
  private readonly options: BatchHandlerOptions

  constructor(options: BatchHandlerOptions) {
    this.options = options
    this.maxRunning = options.maxRunning
    this.maxRunningIn = () => options.maxRunningOfTeam
  }

  async run(job: Job, lease: JobLease): Promise<JobEnding> {
    const subject = this.subjectOf(job)
    const { caller, limits } = this.options
    const check = await this.check(subject, lease.signal)
    if (check.faults.length > 0) return this.refuse(subject, check, lease)
    const lines = (signal: AbortSignal): AsyncIterable<PlacedLine> => this.linesOf(subject, signal)
    await runRecords({ subject, lease, lines, numRecords: check.numRecords, caller, limits })
    const finalizingMs = caller.clock.wallMs()
    const published = await this.publish(subject, check, { kept: lease.records.read(), signal: lease.signal })
    const result = resultFrom(published, { faults: [], finalizingMs })
    return { state: 'succeeded', counts: published.counts, result, error: null }
  }

  async abandon(job: Job, error: ErrorRecord, records: Pick<JobRecords, 'finished' | 'read'>): Promise<JsonRecord | null> {
    const subject = this.subjectOf(job)
    const reason = reasonOf(job, error)
    const faults = reason === 'failed' ? [faultOf(error)] : []
    const hasBegun = subject.plan.numRecords !== null || (job.counts.total ?? 0) > 0 || (await hasAny(records.finished()))
    if (!hasBegun) return resultFrom(NOTHING, { faults, finalizingMs: null })
    const { signal } = new AbortController()
    const check = await this.check(subject, signal)
    // An input that is gone has no words any more for what was not done.
    const unfinished = check.faults.length === 0 ? reason : null
    const published = await this.publish(subject, check, { kept: records.read(), signal, unfinished })
    return resultFrom(published, { faults, finalizingMs: null })
  }

  /** A spoilt input. One that has become so under way still shows what was done. */
  private async refuse(subject: BatchSubject, check: InputCheck, { records, signal }: JobLease): Promise<JobEnding> {
    const hasBegun = await hasAny(records.finished())
    const published = hasBegun ? await this.publish(subject, check, { kept: records.read(), signal }) : NOTHING
    const { faults } = check
    const message = faults[0]?.message ?? 'the input is spoilt'
    const error: ErrorRecord = { code: 'invalid_parameter', message, param: null, retryAfterMs: null }
    return { state: 'failed', counts: published.counts, result: resultFrom(published, { faults, finalizingMs: null }), error }
  }

  private async check({ job, plan, format }: BatchSubject, signal: AbortSignal): Promise<InputCheck> {
    try {
      return await checkInput(this.linesOf({ job, plan, format }, signal), { format, plan, jobId: job.id })
    } catch (error) {
      if (!(error instanceof InferdError) || error.code !== 'resource_not_found') throw error
      return { numRecords: 0, partRecords: [], faults: [{ code: 'input_not_found', message: error.message, param: error.param, line: null }] }
    }
  }

  private linesOf({ job, plan }: BatchSubject, signal: AbortSignal): AsyncIterable<PlacedLine> {
    return readInput(this.options.input, { team: job.team, input: plan.input }, signal)
  }

  private async publish(subject: BatchSubject, check: InputCheck, { kept, signal, unfinished = null }: PublishTerms): Promise<Published> {
    const { format, job, plan } = subject
    const tally: OutputTally = { succeeded: 0, failed: 0, usage: NO_BATCH_USAGE }
    const answered = tallied(kept, format, tally)
    const lines =
      unfinished === null ? answered : withUnfinished(answered, this.linesOf(subject, signal), { format, plan, jobId: job.id, reason: unfinished })
    const { files, objects } = this.options.input
    return publishOutput(lines, { files, objects, subject, check, tally, signal })
  }

  private subjectOf(job: Job): BatchSubject {
    const plan = planOf(job)
    const format = this.options.formats.find(({ dialect }) => dialect === plan.dialect)
    assert(format !== undefined, `no form of lines for ${plan.dialect}`)
    return { job, plan, format }
  }
}

interface PublishTerms {
  readonly kept: AsyncIterable<OutputLine>
  readonly signal: AbortSignal
  /** Why the records without an outcome have none; null = they are left out. */
  readonly unfinished?: UnfinishedReason | null
}

const NOTHING: Published = { counts: { total: 0, succeeded: 0, failed: 0 }, usage: NO_BATCH_USAGE, outputFileId: null, errorFileId: null }

function resultFrom(published: Published, more: Pick<BatchResult, 'faults' | 'finalizingMs'>): JsonRecord {
  const result: BatchResult = { ...published, ...more }
  return result as unknown as JsonRecord
}

function reasonOf(job: Job, error: ErrorRecord): UnfinishedReason {
  if (error.code === 'cancelled' || job.cancelRequestedMs !== null) return 'cancelled'
  return error.code === 'deadline_exceeded' ? 'expired' : 'failed'
}

function faultOf({ code, message, param }: ErrorRecord): BatchFault {
  return { code, message, param, line: null }
}

async function hasAny(items: AsyncIterable<unknown>): Promise<boolean> {
  for await (const _ of items) return true
  return false
}
