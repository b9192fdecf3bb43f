/** A decoded Converse call, and the message as it travels. */
import type { CallOptions } from '#contract/call'
import type { GenerateRequest, JsonRecord, JsonValue } from '#contract/generate'

export interface ConverseCall {
  readonly request: GenerateRequest
  readonly options: CallOptions
  /** JSON pointers into what the model says beside its message. */
  readonly responsePaths: readonly string[]
  /** The caller named a latency: it is told which one it got. */
  readonly namesLatency: boolean
  readonly namesTier: boolean
  readonly elapsedMs: () => number
}

export type WireBlock =
  | { readonly reasoningContent: { readonly reasoningText: { readonly text: string } } }
  | { readonly text: string }
  | { readonly toolUse: { readonly toolUseId: string; readonly name: string; readonly input: JsonValue } }

/** What stands at the end of both forms of an answer. */
export interface WireEnding {
  readonly usage: object
  readonly metrics: { readonly latencyMs: number }
  readonly trace?: { readonly guardrail?: object; readonly promptRouter?: JsonRecord }
  readonly performanceConfig?: { readonly latency: 'standard' }
  readonly serviceTier?: { readonly type: string }
}
