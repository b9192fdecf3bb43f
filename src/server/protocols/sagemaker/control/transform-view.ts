/** A transform job in SageMaker's words. */
import type { Job } from '#contract/job'
import { transformOf } from '#contract/transform'
import type { STATUSES } from './transform-members.ts'

export type TransformStatus = (typeof STATUSES)[number]

/** Clients show it and take no other form; it stands for no account and no region. */
const ARN_PREFIX = 'arn:aws:sagemaker:local:000000000000:transform-job/'
const MAX_REASON_LENGTH = 1024

export function arnOf(name: string): string {
  return ARN_PREFIX + name
}

export function statusOf({ state, cancelRequestedMs }: Job): TransformStatus {
  switch (state) {
    case 'queued':
    case 'running':
      return cancelRequestedMs === null ? 'InProgress' : 'Stopping'
    case 'succeeded':
      return 'Completed'
    case 'failed':
    case 'expired':
      return 'Failed'
    case 'cancelled':
      return 'Stopped'
  }
}

export function lastModifiedMs({ endedMs, cancelRequestedMs, startedMs, createdMs }: Job): number {
  return endedMs ?? cancelRequestedMs ?? startedMs ?? createdMs
}

export function encodeTransform(job: Job): object {
  const { request, name } = transformOf(job)
  return {
    ...request,
    ...headOf(job, name),
    ...(job.startedMs === null ? {} : { TransformStartTime: seconds(job.startedMs) }),
  }
}

export function encodeSummary(job: Job): object {
  return { ...headOf(job, transformOf(job).name), LastModifiedTime: seconds(lastModifiedMs(job)) }
}

function headOf(job: Job, name: string): object {
  const { error, createdMs, endedMs } = job
  const status = statusOf(job)
  return {
    TransformJobName: name,
    TransformJobArn: arnOf(name),
    TransformJobStatus: status,
    CreationTime: seconds(createdMs),
    ...(endedMs === null ? {} : { TransformEndTime: seconds(endedMs) }),
    ...(status === 'Failed' && error !== null ? { FailureReason: error.message.slice(0, MAX_REASON_LENGTH) } : {}),
  }
}

function seconds(ms: number): number {
  return ms / 1000
}
