/** A message batch as Anthropic's clients know it. Requests count as processing until all of the batch has ended, as in the API. */
import { type BatchResult, planOf, resultOf } from '#contract/batch'
import type { JsonRecord } from '#contract/generate'
import type { Job } from '#contract/job'

/** `origin`: of this server as its caller sees it, '' when it is not known. */
export function encodeMessageBatch(job: Job, origin: string): JsonRecord {
  const result = resultOf(job)
  return {
    id: job.id,
    type: 'message_batch',
    processing_status: job.endedMs !== null ? 'ended' : job.cancelRequestedMs === null ? 'in_progress' : 'canceling',
    request_counts: encodeCounts(job, result),
    ended_at: isoTime(job.endedMs),
    created_at: isoTime(job.createdMs),
    expires_at: isoTime(job.expiresMs),
    archived_at: null,
    cancel_initiated_at: isoTime(job.cancelRequestedMs),
    results_url: (result?.outputFileId ?? null) === null ? null : `${origin}/v1/messages/batches/${job.id}/results`,
  }
}

/** They add up to the number of requests. */
function encodeCounts(job: Job, result: BatchResult | null): JsonRecord {
  const total = planOf(job).numRecords ?? 0
  if (job.endedMs === null) return { processing: total, succeeded: 0, errored: 0, canceled: 0, expired: 0 }
  const { succeeded, failed } = result?.counts ?? job.counts
  const rest = total - succeeded - failed
  const canceled = job.state === 'cancelled' ? rest : 0
  const expired = job.state === 'expired' ? rest : 0
  return { processing: 0, succeeded, errored: total - succeeded - canceled - expired, canceled, expired }
}

function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
