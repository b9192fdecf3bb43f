/** The response object in each of its states. */
import { encodeTier } from '#server/protocols/openai/call-options'
import type { CallReport } from '#contract/call'
import type { ErrorRecord } from '#contract/errors'
import type { FinishReason, JsonRecord, Usage } from '#contract/generate'
import type { ResponseStatus } from '#contract/stored-response'
import type { GenerateOutcome } from '#server/generate-outcome'
import { WIRE_ERRORS } from '#server/protocols/openai/encode-error'
import { encodeReport } from '#server/protocols/openai/encode-report'
import { encodeItems, isCutBy } from './encode-items.ts'
import type { ResponsesCall, WireOutputItem, WireResponseError, WireResponsesUsage } from './wire-types.ts'

export interface Ending {
  readonly items: readonly WireOutputItem[]
  readonly finishReason: FinishReason
  readonly usage: Usage
}

/** The whole answer. */
export function encodeResponse(call: ResponsesCall, { choices, usage }: GenerateOutcome, report: CallReport): JsonRecord {
  const [choice] = choices
  if (choice === undefined) return encodeEnded(call, { items: [], finishReason: 'stop', usage }, report)
  return encodeEnded(call, { items: encodeItems(call, choice), finishReason: choice.finishReason, usage }, report)
}

export function encodeEnded(call: ResponsesCall, { items, finishReason, usage }: Ending, report: CallReport): JsonRecord {
  const isCut = isCutBy(finishReason)
  return {
    ...body(call, isCut ? 'incomplete' : 'completed', items),
    incomplete_details: isCut ? { reason: finishReason === 'length' ? 'max_output_tokens' : 'content_filter' } : null,
    service_tier: encodeTier(report.tier),
    usage: encodeUsage(usage) as unknown as JsonRecord,
    ...(encodeReport(report) as JsonRecord),
  }
}

/** Nothing is known of the answer yet. */
export function encodeUnfinished(call: ResponsesCall, status: 'queued' | 'in_progress'): JsonRecord {
  return body(call, status, [])
}

export function encodeFailed(call: ResponsesCall, items: readonly WireOutputItem[], error: ErrorRecord): JsonRecord {
  return withFailure(body(call, 'failed', items), error)
}

/** Taken back by its caller is no error. */
export function withFailure(response: JsonRecord, error: ErrorRecord): JsonRecord {
  if (error.code === 'cancelled') return { ...response, status: 'cancelled' }
  return { ...response, status: 'failed', error: encodeResponseError(error) as unknown as JsonRecord }
}

function encodeResponseError({ code, message }: ErrorRecord): WireResponseError {
  const row = WIRE_ERRORS[code]
  return { code: row.type === 'server_error' ? 'server_error' : row.code, message }
}

function body(call: ResponsesCall, status: ResponseStatus, items: readonly WireOutputItem[]): JsonRecord {
  return {
    id: call.responseId,
    object: 'response',
    created_at: call.createdSeconds,
    status,
    error: null,
    incomplete_details: null,
    access_programs: null,
    model: call.model,
    output: items as unknown as JsonRecord[],
    ...(call.echo as unknown as JsonRecord),
    service_tier: encodeTier(call.options.tier),
    usage: null,
  }
}

function encodeUsage(usage: Usage): WireResponsesUsage {
  return {
    input_tokens: usage.promptTokens,
    input_tokens_details: { cached_tokens: usage.cachedTokens, cache_write_tokens: usage.cacheWriteTokens },
    output_tokens: usage.completionTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
    total_tokens: usage.promptTokens + usage.completionTokens,
  }
}
