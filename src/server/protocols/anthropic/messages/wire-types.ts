/** Anthropic's message as it travels, and a decoded call. */
import type { GenerateRequest, JsonValue } from '#contract/generate'
import type { CallOptions } from '#contract/call'
import type { WireStopReason } from '#server/protocols/anthropic/stop-reason'
import type { WireMessageUsage } from '#server/protocols/anthropic/wire-usage'

export interface MessagesCall {
  readonly responseId: string
  readonly requestId: string
  readonly model: string
  readonly stream: boolean
  readonly request: GenerateRequest
  readonly options: CallOptions
}

export type WireBlock =
  | { readonly type: 'thinking'; readonly thinking: string; readonly signature: string }
  | { readonly type: 'text'; readonly text: string; readonly citations: null }
  | { readonly type: 'tool_use'; readonly id: string; readonly name: string; readonly input: JsonValue; readonly caller: { readonly type: 'direct' } }

export interface WireMessage {
  readonly id: string
  readonly type: 'message'
  readonly role: 'assistant'
  readonly model: string
  readonly content: readonly WireBlock[]
  readonly stop_reason: WireStopReason | null
  readonly stop_sequence: string | null
  readonly stop_details: null
  readonly container: null
  readonly diagnostics: null
  readonly usage: WireMessageUsage
}
