/** Runs the records of a batch that have no outcome yet, a bounded number at a time, each as one call in its dialect. */
import { InferdError } from '#contract/errors'
import type { BatchLine, BatchRecord } from '#contract/batch'
import type { WireCall } from '#contract/job'
import type { JobLease, RecordOutcome } from '#platform/jobs/job-handler'
import { answerRecord, type CallerPorts } from './answer-record.ts'
import type { BatchSubject } from './batch-subject.ts'
import type { PlacedLine } from './batch-input.ts'
import { InFlight, type InFlightLimits } from './in-flight.ts'

export type RecordRunLimits = InFlightLimits

export interface RecordRun {
  readonly subject: BatchSubject
  readonly lease: JobLease
  readonly lines: (signal: AbortSignal) => AsyncIterable<PlacedLine>
  readonly numRecords: number
  readonly caller: CallerPorts
  readonly limits: RecordRunLimits
}

/** Of all attempts. */
interface Progress {
  /** By index: 1 = it has an outcome. */
  readonly done: Uint8Array
  succeeded: number
  failed: number
}

/** What was paid for is not given up because the store is away for a moment: so often, with 0.5 s, 1 s, ... between. */
const MAX_KEEPS = 6
const FIRST_KEEP_WAIT_MS = 500

type Runnable = Exclude<BatchRecord, { readonly kind: 'fault' }>

/** Resolves when every record has an outcome that is kept. Throws for the lease's signal, and what the records could not be kept of. */
export async function runRecords(run: RecordRun): Promise<void> {
  const { subject, lease, lines, limits } = run
  const progress = await resume(run)
  const flying = new InFlight(limits, lease.signal)
  try {
    for await (const { index, line } of lines(flying.signal)) {
      if (progress.done[index] === 1) continue
      const record = subject.format.readRecord(line, subject.plan, { jobId: subject.job.id, index })
      if (record.kind === 'fault') throw new InferdError('conflict', 'the input has changed since it was checked')
      const numBytes = record.kind === 'call' ? record.body.length : 0
      await flying.start(numBytes, async (signal) => {
        const { isOk, line: text } = await outcomeOf(run, record, { index, signal })
        await keep(run, { index, isOk, line: text }, signal)
        progress[isOk ? 'succeeded' : 'failed']++
        note(run, progress)
      })
    }
    await flying.drain()
  } catch (error) {
    await flying.cancel(error)
    lease.signal.throwIfAborted()
    throw error
  }
}

async function resume(run: RecordRun): Promise<Progress> {
  const progress: Progress = { done: new Uint8Array(run.numRecords), succeeded: 0, failed: 0 }
  for await (const { index, isOk } of run.lease.records.finished()) {
    progress.done[index] = 1
    progress[isOk ? 'succeeded' : 'failed']++
  }
  note(run, progress)
  return progress
}

function note({ lease, numRecords }: RecordRun, { succeeded, failed }: Progress): void {
  lease.note({ total: numRecords, succeeded, failed })
}

/** Throws conflict when the lease is lost, and what the store fails of in the end. */
async function keep({ lease, caller }: RecordRun, outcome: RecordOutcome, signal: AbortSignal): Promise<void> {
  for (let numTries = 1; ; numTries++) {
    try {
      await lease.records.put(outcome)
      return
    } catch (error) {
      if (!(error instanceof InferdError) || error.code !== 'store_failed' || numTries === MAX_KEEPS) throw error
      await caller.clock.sleep(FIRST_KEEP_WAIT_MS * 2 ** (numTries - 1), signal)
    }
  }
}

async function outcomeOf(
  { subject: { job, plan, format }, caller }: RecordRun,
  record: Runnable,
  { index, signal }: { readonly index: number; readonly signal: AbortSignal },
): Promise<BatchLine> {
  if (record.kind === 'refused') return { isOk: false, line: record.line }
  const place = { jobId: job.id, index }
  const call: WireCall = {
    principal: job.principal,
    method: 'POST',
    path: plan.endpoint,
    headers: { 'content-type': 'application/json', ...format.headers },
    body: Buffer.from(record.body, 'utf8'),
    isBatch: true,
  }
  const answer = await answerRecord(call, caller, signal)
  if (answer !== null) return format.encodeAnswer(record, answer, place)
  return { isOk: false, line: format.encodeTimeout(record, place) }
}
