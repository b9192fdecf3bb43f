/** The body of a text completion that was not streamed. It has one text: reasoning, if the model is known to write it, comes first. */
import { encodeTier } from '#server/protocols/openai/call-options'
import { assert } from '#base/assert'
import type { CallReport } from '#contract/call'
import type { GenerateOutcome } from '#server/generate-outcome'
import { encodeReport } from '#server/protocols/openai/encode-report'
import { encodeFinishReason } from '#server/protocols/openai/finish-reason'
import { encodeUsage } from '#server/protocols/openai/wire-usage'
import { encodeCompletionLogprobs, TextOffsets } from './encode-logprobs.ts'
import type { CompletionCall, WireCompletion } from './wire-types.ts'

export function encodeCompletionResponse(call: CompletionCall, outcome: GenerateOutcome, report: CallReport): WireCompletion {
  return {
    id: call.responseId,
    object: 'text_completion',
    created: call.createdSeconds,
    model: call.model,
    choices: outcome.choices.map(({ text, reasoning, toolCalls, logprobs, finishReason }, index) => {
      assert(toolCalls.length === 0, 'a tool call in an answer to a raw prompt')
      return {
        text: reasoning + text,
        index,
        logprobs: logprobs === null ? null : encodeCompletionLogprobs(logprobs, new TextOffsets()),
        finish_reason: encodeFinishReason(finishReason),
      }
    }),
    usage: encodeUsage(outcome.usage),
    system_fingerprint: call.systemFingerprint,
    ...(call.hasTier ? { service_tier: encodeTier(report.tier) } : {}),
    ...encodeReport(report),
  }
}
