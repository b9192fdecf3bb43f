/** A batch as OpenAI's clients know it. Absent times and files are null, as the API sends them. */
import { type BatchResult, planOf, resultOf } from '#contract/batch'
import type { JsonRecord } from '#contract/generate'
import type { Job } from '#contract/job'

export const COMPLETION_WINDOW = '24h'

const ENDED = { succeeded: 'completed', failed: 'failed', cancelled: 'cancelled', expired: 'expired' } as const

type BatchStatus = 'validating' | 'in_progress' | 'finalizing' | 'cancelling' | (typeof ENDED)[keyof typeof ENDED]

export function encodeBatch(job: Job): JsonRecord {
  const plan = planOf(job)
  const result = resultOf(job)
  const status = statusOf(job)
  const endedAs = (word: BatchStatus): number | null => (status === word ? seconds(job.endedMs) : null)
  return {
    id: job.id,
    object: 'batch',
    endpoint: plan.endpoint,
    errors: result === null || result.faults.length === 0 ? null : { object: 'list', data: result.faults.map((fault) => ({ ...fault })) },
    input_file_id: plan.input.kind === 'file' ? plan.input.fileId : '',
    completion_window: COMPLETION_WINDOW,
    status,
    output_file_id: result?.outputFileId ?? null,
    error_file_id: result?.errorFileId ?? null,
    created_at: Math.floor(job.createdMs / 1000),
    in_progress_at: status === 'validating' ? null : seconds(job.startedMs),
    expires_at: Math.floor(job.expiresMs / 1000),
    finalizing_at: seconds(result?.finalizingMs ?? null),
    completed_at: endedAs('completed'),
    failed_at: endedAs('failed'),
    expired_at: endedAs('expired'),
    cancelling_at: seconds(job.cancelRequestedMs),
    cancelled_at: endedAs('cancelled'),
    request_counts: encodeCounts(job, result),
    usage: result === null ? null : encodeUsage(result),
    metadata: plan.terms['metadata'] ?? null,
  }
}

/** Between its attempts a batch is as far as it was. */
function statusOf({ state, cancelRequestedMs, counts: { total, succeeded, failed } }: Job): BatchStatus {
  if (state !== 'queued' && state !== 'running') return ENDED[state]
  if (cancelRequestedMs !== null) return 'cancelling'
  if (total === null) return 'validating'
  return succeeded + failed < total ? 'in_progress' : 'finalizing'
}

/** Those of an ended batch add up: what never ran has failed. */
function encodeCounts({ counts }: Job, result: BatchResult | null): JsonRecord {
  const total = (result?.counts ?? counts).total ?? 0
  const { succeeded } = result?.counts ?? counts
  return { total, completed: succeeded, failed: result === null ? counts.failed : total - succeeded }
}

function encodeUsage({ usage: { inputTokens, cachedTokens, outputTokens, reasoningTokens } }: BatchResult): JsonRecord {
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: inputTokens + outputTokens,
  }
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : Math.floor(ms / 1000)
}
