/** What an invocation is, as the plain data that its job keeps, and where its objects lie. */
import type { Job } from '#contract/job'
import type { JsonRecord } from '#contract/generate'
import type { Invocation } from '#contract/invocation'

export interface InvocationSpec {
  readonly endpoint: string
  /** null: the caller gave none, and it is the job's id. */
  readonly inferenceId: string | null
  readonly inputUri: string
  /** Whether the input came with the order, and goes when the invocation has ended. */
  readonly ownsInput: boolean
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
  /** Folders, as `s3://bucket/prefix` without a slash at the end. */
  readonly outputFolder: string
  readonly failureFolder: string
  /** null: named by the job's id. A name that the caller chose may be somebody else's object. */
  readonly outputName: string | null
  readonly timeoutMs: number
}

export interface InvocationPlaces {
  readonly outputUri: string
  readonly failureUri: string
}

export function placesOf(
  jobId: string,
  { outputFolder, failureFolder, outputName }: Pick<InvocationSpec, 'outputFolder' | 'failureFolder' | 'outputName'>,
): InvocationPlaces {
  return {
    outputUri: `${outputFolder}/${outputName ?? `${jobId}.out`}`,
    failureUri: `${failureFolder}/${jobId}.error`,
  }
}

export function toRecord(spec: InvocationSpec): JsonRecord {
  return { ...spec, headers: { ...spec.headers } }
}

/** Of a job of kind 'async': its spec is what `toRecord` made. */
export function specOf({ spec }: Pick<Job, 'spec'>): InvocationSpec {
  return spec as unknown as InvocationSpec
}

export function invocationOf(job: Job): Invocation {
  const spec = specOf(job)
  const { outputUri, failureUri } = placesOf(job.id, spec)
  return {
    id: job.id,
    inferenceId: spec.inferenceId ?? job.id,
    endpoint: spec.endpoint,
    state: job.state,
    attempt: job.attempt,
    inputLocation: spec.inputUri,
    outputLocation: outputUri,
    failureLocation: failureUri,
    createdMs: job.createdMs,
    startedMs: job.startedMs,
    endedMs: job.endedMs,
    startByMs: job.startByMs ?? job.expiresMs,
    cancelRequestedMs: job.cancelRequestedMs,
    error: job.error,
  }
}
