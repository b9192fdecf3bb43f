/** One request's sampling options in the form that a step copies: flat lists, made once when the request is accepted. */
import type { SamplingOptions } from '#contract/generate'

/** Parallel arrays, each token once. Bias -Infinity forbids a token. */
interface BiasList {
  readonly tokenIds: Int32Array
  readonly values: Float32Array
}

export interface SamplingParameters {
  readonly options: SamplingOptions
  /** -1 = no logprobs (the kernels' contract); otherwise the number of alternatives. */
  readonly numTopLogprobs: number
  readonly minTokens: number
  /** End-of-sequence tokens and stop tokens, forbidden until a choice has minTokens tokens. */
  readonly suppressedTokenIds: readonly number[]
  readonly bias: BiasList
  /** `bias` with every stopping token forbidden; used until a choice has minTokens tokens, where no mask can forbid them. */
  readonly biasBeforeMinTokens: BiasList
}

export interface SamplingRequest {
  readonly sampling: SamplingOptions
  readonly numTopLogprobs: number | null
  readonly minTokens: number
  /** End-of-sequence tokens and stop tokens. */
  readonly suppressedTokenIds: readonly number[]
}

export function samplingParameters(request: SamplingRequest): SamplingParameters {
  const values = new Map<number, number>()
  for (const { tokenId, bias } of request.sampling.logitBias) values.set(tokenId, bias)
  const bias = biasList(values)
  if (request.minTokens > 0) for (const tokenId of request.suppressedTokenIds) values.set(tokenId, -Infinity)
  return {
    options: request.sampling,
    numTopLogprobs: request.numTopLogprobs ?? -1,
    minTokens: request.minTokens,
    suppressedTokenIds: request.suppressedTokenIds,
    bias,
    biasBeforeMinTokens: request.minTokens > 0 ? biasList(values) : bias,
  }
}

/** True when the kernels need the choice's token counts. */
export function needsTokenCounts(options: SamplingOptions): boolean {
  return options.repetitionPenalty !== 1 || options.presencePenalty !== 0 || options.frequencyPenalty !== 0
}

function biasList(values: ReadonlyMap<number, number>): BiasList {
  return { tokenIds: Int32Array.from(values.keys()), values: Float32Array.from(values.values()) }
}
