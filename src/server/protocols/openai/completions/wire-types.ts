/** `POST /v1/completions` as it looks on the wire. Source: the OpenAI API reference, completions (legacy). */
import type { WireTier } from '#server/protocols/openai/call-options'
import type { GenerateRequest } from '#contract/generate'
import type { ReportField } from '#server/protocols/openai/encode-report'
import type { WireFinishReason } from '#server/protocols/openai/finish-reason'
import type { OperationWords } from '#server/protocols/openai/places'
import type { WireUsage } from '#server/protocols/openai/wire-usage'

/** A decoded call: one request per prompt; choice `c` of prompt `p` has the index `p * n + c`. */
export interface CompletionCall {
  readonly responseId: string
  readonly createdSeconds: number
  readonly model: string
  readonly systemFingerprint: string
  readonly stream: boolean
  readonly includeUsage: boolean
  /** The caller asked for a tier: the answer says which one it got. */
  readonly hasTier: boolean
  readonly words: OperationWords
  readonly requests: readonly GenerateRequest[]
}

/** Parallel arrays, one entry per output token. */
export interface WireCompletionLogprobs {
  readonly tokens: readonly string[]
  readonly token_logprobs: readonly number[]
  /** The likeliest tokens and the one that was sampled. */
  readonly top_logprobs: readonly Readonly<Record<string, number>>[]
  /** Code points of the choice's output that are complete before each token. */
  readonly text_offset: readonly number[]
}

export interface WireCompletion extends ReportField {
  readonly id: string
  readonly object: 'text_completion'
  readonly created: number
  readonly model: string
  readonly choices: readonly {
    readonly text: string
    readonly index: number
    readonly logprobs: WireCompletionLogprobs | null
    readonly finish_reason: WireFinishReason
  }[]
  readonly usage: WireUsage
  readonly system_fingerprint: string
  readonly service_tier?: WireTier
}
