/**
 * The neutral words of generation. Protocols decode into GenerateRequest and encode GenerateEvents; the engine
 * knows nothing else of its callers. Plain data only: these records cross the process border.
 */
import type { ErrorRecord } from '#contract/errors'

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  readonly name?: string
}

export type PromptInput =
  /** Rendered with the model's own chat template, generation prompt added. */
  | { readonly kind: 'messages'; readonly messages: readonly ChatMessage[] }
  /** Raw text. Text of control, begin and end tokens stays plain; other user-defined tokens are ordinary text. */
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tokens'; readonly tokenIds: readonly number[] }

/** Ranges are checked by the protocol that decodes them; the engine asserts them again. */
export interface SamplingOptions {
  /** 0 = greedy. [0, 2]. */
  readonly temperature: number
  /** 0 = off. */
  readonly topK: number
  /** (0, 1]; 1 = off. */
  readonly topP: number
  /** [0, 1]; 0 = off. Keeps tokens with probability >= minP x the largest. */
  readonly minP: number
  /** [0.01, 10]; 1 = off. Over prompt and output tokens. */
  readonly repetitionPenalty: number
  /** [-2, 2]. Over output tokens. */
  readonly presencePenalty: number
  /** [-2, 2]. Over output tokens. */
  readonly frequencyPenalty: number
  readonly logitBias: readonly { readonly tokenId: number; readonly bias: number }[]
  /** Unsigned 32 bits; null = drawn at random. Choice `i` of `n` uses seed + i. */
  readonly seed: number | null
}

export interface GenerateRequest {
  readonly requestId: string
  readonly input: PromptInput
  readonly sampling: SamplingOptions
  /** Most output tokens per choice; null = to the end of the context. */
  readonly maxTokens: number | null
  /** End-of-sequence and stop tokens are suppressed until then. */
  readonly minTokens: number
  readonly stopStrings: readonly string[]
  readonly stopTokenIds: readonly number[]
  /** True: end-of-sequence tokens do not end the choice. */
  readonly ignoreEos: boolean
  /** Output text keeps the stop string that ended it. */
  readonly includeStopString: boolean
  /** null = no logprobs; otherwise how many alternatives per token (0..20). */
  readonly numTopLogprobs: number | null
  /** Choices that share one prompt. */
  readonly numChoices: number
  /** Prompt text is repeated at the head of each choice's text. */
  readonly echo: boolean
  /** Lower runs earlier; equal runs in order of arrival. */
  readonly priority: number
  /** Prefix-cache namespace: equal tokens under different salts never share blocks. */
  readonly cacheSalt: string
}

/** `priority` is from -MAX_PRIORITY to MAX_PRIORITY at every door. */
export const MAX_PRIORITY = 100

/** What is at fault in a request, as the engine names it in the `param` of its errors; each protocol has its own words for it. */
export type RequestPlace = Exclude<keyof GenerateRequest, 'requestId' | 'sampling'> | `sampling.${keyof SamplingOptions}`

export type FinishReason = 'stop' | 'length'

export interface TokenLogprob {
  readonly tokenId: number
  /** The token's own text; may hold U+FFFD where it is a part of a code point. */
  readonly text: string
  readonly bytes: readonly number[]
  readonly logprob: number
  readonly top: readonly { readonly tokenId: number; readonly text: string; readonly bytes: readonly number[]; readonly logprob: number }[]
}

export interface Usage {
  readonly promptTokens: number
  /** Of promptTokens, those whose KV came from the prefix cache. */
  readonly cachedTokens: number
  /** Sum over choices, end-of-sequence tokens included. */
  readonly completionTokens: number
}

/**
 * Order: response-start, then per choice text-delta* choice-end, then exactly one terminal event
 * (response-end or response-error). Nothing follows the terminal event.
 */
export type GenerateEvent =
  | { readonly type: 'response-start'; readonly promptTokens: number; readonly cachedTokens: number }
  /** `text` is whole code points; may be '' when only logprobs arrive. */
  | { readonly type: 'text-delta'; readonly choice: number; readonly text: string; readonly logprobs: readonly TokenLogprob[] | null }
  | { readonly type: 'choice-end'; readonly choice: number; readonly finishReason: FinishReason; readonly stopString: string | null }
  | { readonly type: 'response-end'; readonly usage: Usage }
  | { readonly type: 'response-error'; readonly error: ErrorRecord; readonly usage: Usage }

export interface EmbedRequest {
  readonly requestId: string
  readonly inputs: readonly PromptInput[]
  readonly priority: number
  readonly cacheSalt: string
}

export interface EmbedResult {
  /** One unit-length vector (hiddenSize) per input: mean over the final hidden states, then L2-normalized. */
  readonly vectors: readonly Float32Array[]
  readonly usage: Usage
}

/** What a client of a loaded model may want to know before it asks. */
export interface ModelFacts {
  readonly architecture: string
  readonly parameters: number
  readonly weightsBytes: number
  readonly quantization: string
  readonly contextLength: number
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly hasChatTemplate: boolean
  /** What is wrong with the chat template, for the operator; requests with messages are refused then. */
  readonly chatTemplateProblem: string | null
}
