/** Why a choice ended, in OpenAI's words. */
import type { FinishReason } from '#contract/generate'

export type WireFinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter'

export function encodeFinishReason(reason: FinishReason): WireFinishReason {
  switch (reason) {
    case 'stop':
    case 'length':
      return reason
    case 'tool-calls':
      return 'tool_calls'
    case 'content-filter':
    case 'degenerate':
      return 'content_filter'
  }
}
