/**
 * The token-level words of the engine core: a request in token ids goes in, callbacks per step come out. Text, stop strings,
 * deadlines and tenants live above.
 */
import type { InferdError } from '#contract/errors'
import type { FinishReason, SamplingChange, SamplingOptions, TokenUsage } from '#contract/generate'
import type { Lane } from '#contract/lane'
import type { TokenGuide } from './token-guide.ts'

/** Sampling options whose seed has been drawn: the core owns no randomness. Choice `i` samples with seed + i (mod 2^32). */
export interface SeededSampling extends SamplingOptions {
  readonly seed: number
}

export interface GenerateTokensRequest {
  readonly kind: 'generate'
  /** At least one token, all below vocabSize. Copied at submit. */
  readonly promptTokenIds: ArrayLike<number>
  readonly sampling: SeededSampling
  /** Choices that share the prompt's blocks; at most maxSequences. */
  readonly numChoices: number
  /** Most output tokens per choice, at least 1; null = to the end of the context. Cut at the end of the context. */
  readonly maxTokens: number | null
  /** End-of-sequence and stop tokens get probability 0 until a choice has so many tokens; not where its guide allows nothing else. */
  readonly minTokens: number
  readonly stopTokenIds: readonly number[]
  /** True: end-of-sequence tokens do not end a choice and arrive through onToken. Where a guide masks or forces, it decides: there they end. */
  readonly ignoreEos: boolean
  /** null = no logprobs; otherwise how many alternatives per token (0..20). */
  readonly numTopLogprobs: number | null
  /** Integer in [-100, 100]. Lower runs earlier; equal runs in order of arrival; a long wait outweighs a level (priorityAgingSteps). */
  readonly priority: number
  /** Before its priority: who is in an earlier lane goes first, and displaces later ones where places or blocks are short. */
  readonly lane: Lane
  /** Prefix-cache namespace: equal tokens under different salts never share blocks. */
  readonly cacheSalt: string
  /** One per choice, called by the core alone until the request ends; null = unguided. */
  readonly guides: readonly TokenGuide[] | null
}

/** Wants the mean of the final hidden states over all prompt tokens. Takes no prefix hits: a hit has no hidden states. */
export interface EmbedTokensRequest {
  readonly kind: 'embed'
  readonly promptTokenIds: ArrayLike<number>
  readonly priority: number
  readonly lane: Lane
  readonly cacheSalt: string
}

export type TokenRequest = GenerateTokensRequest | EmbedTokensRequest

/** A view of one sampled row. The same object and arrays are reused: copy what must outlive the callback. */
export interface TokenLogprobs {
  /** Natural log-probability of the sampled token under the raw logits. */
  logprob: number
  /** Entries of the two arrays that are filled, best first. */
  numTop: number
  readonly topTokenIds: Int32Array
  readonly topLogprobs: Float32Array
}

/**
 * Where a request's events go. The callbacks of one step come together, after the step is committed: every block that the step
 * freed is already free. Order: onStart, then onToken / onChoiceEnd, then exactly one of onEnd and onError, then nothing.
 * onError may come first (aborted or failed while waiting). Callbacks may call the handle and submit; they must not throw:
 * one that does gets onError('internal') and nothing more.
 */
export interface TokenSink {
  /** The request was admitted for the first time. cachedTokens: prompt tokens whose KV came from the prefix cache. */
  onStart(promptTokens: number, cachedTokens: number): void
  /** Hot: per token. `logprobs` is null unless asked for. A token that ends its choice is not delivered here. */
  onToken(choice: number, tokenId: number, logprobs: TokenLogprobs | null): void
  /**
   * reason 'length': maxTokens or the context is used up. stopTokenId: the token that ended it; null for finishChoice, a complete
   * guide and 'length'.
   */
  onChoiceEnd(choice: number, reason: FinishReason, stopTokenId: number | null): void
  /** Only for 'embed', before onEnd. mean: f64 (hiddenSize), not normalized; the receiver may keep it. */
  onEmbedding(mean: Float64Array): void
  onEnd(usage: TokenUsage): void
  /**
   * codes: cancelled (abort), shutting_down (close), invalid_parameter (bias or guide forbid every token), non_finite_logits,
   * replica_lost, internal, and those of its guide.
   */
  onError(error: InferdError, usage: TokenUsage): void
}

export interface RequestHandle {
  /** Ends the request with onError('cancelled'); its blocks are free within one step. Later calls do nothing. */
  abort(): void
  /**
   * Ends one choice with reason 'stop' before its next token is computed (a stop string was found in its text).
   * Before the choice's first token it takes effect with that token. Ended or unknown choices are ignored.
   */
  finishChoice(choice: number): void
  /** Samples otherwise from the next token on that no step has begun to sample. After the end it does nothing. */
  adjust(change: SamplingChange): void
}
