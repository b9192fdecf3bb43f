/** Text generation as Hugging Face's containers speak it. Source: text-generation-inference, its OpenAPI document. */
import type { GenerateRequest } from '#contract/generate'

/** A decoded call: one request per text of `inputs`. */
export interface TextGenerationCall {
  readonly stream: boolean
  readonly inputs: readonly string[]
  /** `inputs` is a list, also of one. */
  readonly hasInputList: boolean
  readonly details: boolean
  readonly returnFullText: boolean
  /** 0 = none. */
  readonly numTopTokens: number
  /** As it was sent. */
  readonly seed: number | null
  readonly requests: readonly GenerateRequest[]
}

/** `special` is true at the end of a stream only: marks of control are never a part of the text here. */
export interface WireToken {
  /** 0 without a logprob: text that came without a token, or the end of the answer. */
  readonly id: number
  readonly text: string
  readonly logprob: number | null
  readonly special: boolean
}

export type WireFinishReason = 'length' | 'eos_token' | 'stop_sequence' | 'content_filter'

export interface WireDetails {
  readonly finish_reason: WireFinishReason
  readonly generated_tokens: number
  readonly seed: number | null
  readonly prefill: readonly []
  readonly tokens: readonly WireToken[]
  readonly top_tokens?: readonly (readonly WireToken[])[]
}

export interface WireGeneration {
  readonly generated_text: string
  readonly details?: WireDetails
}

export interface WireStreamFrame {
  /** Counts from 1. */
  readonly index: number
  readonly token: WireToken
  readonly top_tokens?: readonly WireToken[]
  /** The last frame has the whole text. */
  readonly generated_text: string | null
  readonly details: {
    readonly finish_reason: WireFinishReason
    readonly generated_tokens: number
    readonly input_length: number
    readonly seed: number | null
  } | null
}
