/**
 * What a batch transform is as a job: its input is listed and counted, its payloads run a bounded number at a time, each output is kept when
 * it is known, and the objects are published once, before the job ends. A record that fails costs its object the output, and the job its
 * success; other objects are gone on with. A stopped job publishes nothing.
 */
import type { ErrorRecord } from '#contract/errors'
import type { JsonRecord } from '#contract/generate'
import type { Job, JobCounts } from '#contract/job'
import type { ObjectStores } from '#contract/objects'
import { transformOf } from '#contract/transform'
import type { JobEnding, JobHandler, JobLease, JobRecords } from '#platform/jobs/job-handler'
import type { AskPorts } from './ask-model.ts'
import { listInput } from './input-objects.ts'
import { publishOutputs } from './publish-outputs.ts'
import { type PayloadTally, runPayloads } from './run-payloads.ts'
import { type InputSurvey, surveyInput } from './survey-input.ts'
import { faultOf } from './transform-fault.ts'

export interface TransformHandlerOptions {
  /** null = this server has no objects. */
  readonly objects: ObjectStores | null
  readonly ports: AskPorts
  readonly maxRunning: number
  readonly maxRunningOfTeam: number
}

export const DEFAULT_TRANSFORM_LIMITS = { maxRunning: 8, maxRunningOfTeam: 2 } as const

const FINGERPRINT_RECORD = 0
/** As SageMaker bounds FailureReason. */
const MAX_REASON_LENGTH = 1024
const NOTHING: JobCounts = { total: null, succeeded: 0, failed: 0 }

export class TransformHandler implements JobHandler {
  readonly kind = 'transform'
  readonly maxRunning: number
  /** Lanes are teams. */
  readonly maxRunningIn: () => number
  private readonly options: TransformHandlerOptions

  constructor(options: TransformHandlerOptions) {
    this.options = options
    this.maxRunning = options.maxRunning
    this.maxRunningIn = () => options.maxRunningOfTeam
  }

  async run(job: Job, lease: JobLease): Promise<JobEnding> {
    const { objects, ports } = this.options
    if (objects === null) return failed('ClientError: this server has no objects', NOTHING)
    const spec = transformOf(job)
    const found = await orFault(surveyOf(job, objects, lease.signal))
    if (typeof found === 'string') return failed(found, NOTHING)
    if (!(await isSameInput(found, lease.records))) return failed('ClientError: the input has changed since the job began', NOTHING)
    const tally = await runPayloads({ job, spec, lease, survey: found, ports })
    const target = { objects, team: job.team, output: spec.output, signal: lease.signal }
    const published = await orFault(publishOutputs(found, tally, { kept: lease.records.read(), target }))
    const counts = { total: found.numPayloads, succeeded: tally.succeeded, failed: tally.failed }
    if (typeof published === 'string') return failed(published, counts)
    const reason = reasonOf(tally)
    return reason === null ? { state: 'succeeded', counts, result: { outputs: published }, error: null } : failed(reason, counts)
  }

  async abandon(): Promise<JsonRecord | null> {
    return null
  }
}

async function surveyOf(job: Job, objects: ObjectStores, signal: AbortSignal): Promise<InputSurvey> {
  const spec = transformOf(job)
  const found = await listInput({ objects, team: job.team, input: spec.input }, signal)
  return surveyInput(found, spec, signal)
}

/** The first attempt says what the input is, and the others have the same one. */
async function isSameInput({ fingerprint }: InputSurvey, records: JobRecords): Promise<boolean> {
  await records.put({ index: FINGERPRINT_RECORD, isOk: true, line: fingerprint })
  for await (const { line } of records.read()) return line === fingerprint
  return false
}

/** What the work found at fault comes back in words; everything else is thrown. */
async function orFault<Value>(work: Promise<Value>): Promise<Value | string> {
  try {
    return await work
  } catch (error) {
    const fault = faultOf(error)
    if (fault === null) throw error
    return fault
  }
}

/** The first in the order of the input, and how many objects there are more. */
function reasonOf({ faults }: PayloadTally): string | null {
  const [first] = [...faults].toSorted(([left], [right]) => left - right)
  if (first === undefined) return null
  return faults.size === 1 ? first[1] : `${first[1].slice(0, MAX_REASON_LENGTH - 64)} (and ${faults.size - 1} more objects have no output)`
}

function failed(reason: string, counts: JobCounts): JobEnding {
  const error: ErrorRecord = { code: 'invalid_parameter', message: reason.slice(0, MAX_REASON_LENGTH), param: null, retryAfterMs: null }
  return { state: 'failed', counts, result: null, error }
}
