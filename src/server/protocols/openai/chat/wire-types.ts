/** `POST /v1/chat/completions` as it looks on the wire. Source: the OpenAI API reference, chat completions. */
import type { WireTier } from '#server/protocols/openai/call-options'
import type { GenerateRequest } from '#contract/generate'
import type { ReportField } from '#server/protocols/openai/encode-report'
import type { WireFinishReason } from '#server/protocols/openai/finish-reason'
import type { OperationWords } from '#server/protocols/openai/places'
import type { WireUsage } from '#server/protocols/openai/wire-usage'

/** A decoded call: what the encoders need beside the events. */
export interface ChatCall {
  readonly responseId: string
  readonly createdSeconds: number
  readonly model: string
  readonly systemFingerprint: string
  readonly stream: boolean
  readonly includeUsage: boolean
  /** The caller asked for a tier: the answer says which one it got. */
  readonly hasTier: boolean
  readonly words: OperationWords
  readonly request: GenerateRequest
}

export interface WireTopLogprob {
  readonly token: string
  readonly logprob: number
  readonly bytes: readonly number[]
}

export interface WireTokenLogprob extends WireTopLogprob {
  readonly top_logprobs: readonly WireTopLogprob[]
}

export interface WireLogprobs {
  readonly content: readonly WireTokenLogprob[]
  readonly refusal: null
}

export interface WireToolCall {
  readonly id: string
  readonly type: 'function'
  readonly function: { readonly name: string; readonly arguments: string }
}

export interface WireMessage {
  readonly role: 'assistant'
  /** null = no text, but calls or reasoning. */
  readonly content: string | null
  readonly refusal: null
  /** Not OpenAI's; the name that DeepSeek gave it. Absent without reasoning. */
  readonly reasoning_content?: string
  /** Absent without calls. */
  readonly tool_calls?: readonly WireToolCall[]
}

export interface WireChatCompletion extends ReportField {
  readonly id: string
  readonly object: 'chat.completion'
  readonly created: number
  readonly model: string
  readonly choices: readonly {
    readonly index: number
    readonly message: WireMessage
    readonly logprobs: WireLogprobs | null
    readonly finish_reason: WireFinishReason
  }[]
  readonly usage: WireUsage
  readonly system_fingerprint: string
  readonly service_tier?: WireTier
}
