/** Why an answer ended, in Anthropic's words. */
import type { FinishReason } from '#contract/generate'

export type WireStopReason = 'end_turn' | 'max_tokens' | 'stop_sequence' | 'tool_use' | 'refusal'

export function encodeStopReason(reason: FinishReason, stopString: string | null): WireStopReason {
  switch (reason) {
    case 'stop':
      return stopString === null ? 'end_turn' : 'stop_sequence'
    case 'length':
      return 'max_tokens'
    case 'tool-calls':
      return 'tool_use'
    case 'content-filter':
    case 'degenerate':
      return 'refusal'
  }
}
