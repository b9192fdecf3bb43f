/** What stands at the end of both forms of an answer: why it ended, its cost in tokens and time, and what was asked to be shown. */
import type { CallReport } from '#contract/call'
import type { FinishReason, JsonRecord, Usage } from '#contract/generate'
import { encodeGuardrailTrace } from '#server/protocols/bedrock/guardrail-assessment'
import { encodeUsage } from '#server/protocols/bedrock/wire-usage'
import type { ConverseCall, WireEnding } from './wire-types.ts'

export type WireStopReason = 'end_turn' | 'stop_sequence' | 'max_tokens' | 'tool_use' | 'guardrail_intervened' | 'malformed_model_output'

export function encodeStopReason(reason: FinishReason, stopString: string | null): WireStopReason {
  switch (reason) {
    case 'stop':
      return stopString === null ? 'end_turn' : 'stop_sequence'
    case 'length':
      return 'max_tokens'
    case 'tool-calls':
      return 'tool_use'
    case 'content-filter':
      return 'guardrail_intervened'
    case 'degenerate':
      return 'malformed_model_output'
  }
}

/** The model says one thing beside its message: which stop sequence ended it. Paths that lead nowhere are passed over, as by the service. */
export function responseFields({ responsePaths }: ConverseCall, stopString: string | null): { readonly additionalModelResponseFields?: JsonRecord } {
  return responsePaths.includes('/stop_sequence') ? { additionalModelResponseFields: { stop_sequence: stopString } } : {}
}

export function encodeEnding(call: ConverseCall, usage: Usage, report: CallReport): WireEnding {
  const guardrail = encodeGuardrailTrace(report.guardrail)
  return {
    usage: encodeUsage(usage),
    metrics: { latencyMs: call.elapsedMs() },
    ...(guardrail === null ? {} : { trace: { guardrail } }),
    ...(call.namesLatency ? { performanceConfig: { latency: 'standard' } } : {}),
    ...(call.namesTier ? { serviceTier: { type: report.tier } } : {}),
  }
}
