/** Why a choice ended, in OpenAI's words. */
import type { FinishReason } from '#contract/generate'

export type WireFinishReason = 'stop' | 'length' | 'tool_calls'

export function encodeFinishReason(reason: FinishReason): WireFinishReason {
  return reason === 'tool-calls' ? 'tool_calls' : reason
}
