/** A batch as Bedrock's control plane shows it. */
import { planOf, resultOf } from '#contract/batch'
import type { JsonRecord } from '#contract/generate'
import type { Job } from '#contract/job'

const ARN_PREFIX = 'arn:aws:bedrock:local:000000000000:model-invocation-job/'
const MAX_MESSAGE_LENGTH = 2048

/** Completed: every record has an outcome, which may be an error. */
const ENDED = { succeeded: 'Completed', failed: 'Failed', cancelled: 'Stopped', expired: 'Expired' } as const

export const JOB_STATUSES = [
  'Submitted',
  'Validating',
  'Scheduled',
  'InProgress',
  'Completed',
  'PartiallyCompleted',
  'Failed',
  'Stopping',
  'Stopped',
  'Expired',
] as const

/** What the request said and the answers repeat; the terms of the plan. */
export interface JobTerms {
  readonly jobName: string
  readonly roleArn: string
  readonly modelId: string
  readonly inputUri: string
  readonly outputUri: string
  readonly timeoutHours: number
  readonly invocationType: 'InvokeModel' | 'Converse'
  readonly requestToken: string | null
}

export function jobArn(id: string): string {
  return `${ARN_PREFIX}${id}`
}

/** An ARN or what stands at its end. */
export function jobIdOf(identifier: string): string {
  return identifier.startsWith(ARN_PREFIX) ? identifier.slice(ARN_PREFIX.length) : identifier
}

export function termsOf(job: Job): JobTerms {
  return planOf(job).terms as unknown as JobTerms
}

export function encodeJob(job: Job): JsonRecord {
  const terms = termsOf(job)
  const result = resultOf(job)
  const { total, succeeded, failed } = result?.counts ?? job.counts
  const message = messageOf(job)
  return {
    jobArn: jobArn(job.id),
    jobName: terms.jobName,
    modelId: terms.modelId,
    roleArn: terms.roleArn,
    status: statusOf(job),
    modelInvocationType: terms.invocationType,
    inputDataConfig: { s3InputDataConfig: { s3InputFormat: 'JSONL', s3Uri: terms.inputUri } },
    outputDataConfig: { s3OutputDataConfig: { s3Uri: terms.outputUri } },
    timeoutDurationInHours: terms.timeoutHours,
    submitTime: isoTime(job.createdMs),
    lastModifiedTime: isoTime(job.endedMs ?? job.cancelRequestedMs ?? job.startedMs ?? job.createdMs),
    jobExpirationTime: isoTime(job.expiresMs),
    ...(job.endedMs === null ? {} : { endTime: isoTime(job.endedMs) }),
    ...(terms.requestToken === null ? {} : { clientRequestToken: terms.requestToken }),
    ...(message === null ? {} : { message }),
    ...(total === null
      ? {}
      : { totalRecordCount: total, processedRecordCount: succeeded + failed, successRecordCount: succeeded, errorRecordCount: failed }),
  }
}

export function statusOf({ state, cancelRequestedMs, counts, startedMs }: Job): (typeof JOB_STATUSES)[number] {
  if (state !== 'queued' && state !== 'running') return ENDED[state]
  if (cancelRequestedMs !== null) return 'Stopping'
  if (startedMs === null) return 'Submitted'
  return counts.total === null ? 'Validating' : 'InProgress'
}

/** Why it failed. */
function messageOf(job: Job): string | null {
  const fault = resultOf(job)?.faults[0]
  if (fault === undefined) return null
  const text = fault.line === null ? fault.message : `line ${fault.line}: ${fault.message}`
  return text.slice(0, MAX_MESSAGE_LENGTH)
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
