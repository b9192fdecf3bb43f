/** What goes into sampling and what comes out, in columns of one entry per logit row. Every executor takes and fills these. */

export const MAX_TOP_LOGPROBS = 20

/** What became of a row; the values of SampledColumns.nonFinite. */
export const SAMPLED = 0
/** A logit was NaN or infinite, or a bias or penalty made it NaN or +Infinity. */
export const NON_FINITE = 1
/** Every logit is finite, and bias, penalties or the mask left none above -Infinity. */
export const ALL_FORBIDDEN = 2

/**
 * Sampling parameters in columns, one entry per logit row. The exact algorithm is defined in `sample-reference.ts`;
 * native must return the same tokens.
 */
export interface SamplingBatch {
  readonly temperature: Float32Array
  readonly topK: Int32Array
  readonly topP: Float32Array
  readonly minP: Float32Array
  readonly repetitionPenalty: Float32Array
  readonly presencePenalty: Float32Array
  readonly frequencyPenalty: Float32Array
  readonly seed: Uint32Array
  /** Index of the draw within its choice: the generator is a hash of (seed, drawIndex), so no state survives a step. */
  readonly drawIndex: Uint32Array
  /** -1 = no logprobs for the row; otherwise the number of alternatives (0..20). */
  readonly numTopLogprobs: Int32Array
  /** i32 (numLogitRows + 1): ranges of the two penalty lists. A row without penalties has an empty range. */
  readonly penaltyStarts: Int32Array
  readonly penaltyTokenIds: Int32Array
  /** How often the token stands in the output; 0 = only in the prompt. */
  readonly penaltyCounts: Int32Array
  /** i32 (numLogitRows + 1): ranges of the two bias lists. Bias -Infinity forbids a token. */
  readonly biasStarts: Int32Array
  readonly biasTokenIds: Int32Array
  readonly biasValues: Float32Array
  /** i32 (numLogitRows): row of `masks`; -1 = every token is allowed. */
  readonly maskIndex: Int32Array
  /** u32 (numMasks, maskWords): bit (t & 31) of word t >> 5 allows token t; bits beyond the vocabulary mean nothing. */
  readonly masks: Uint32Array
  /** ceil(vocabSize / 32). */
  readonly maskWords: number
  /**
   * Fills `masks`; null = they are complete, or no row has one. The executor calls it exactly once, on the JS thread, after the
   * step has begun and before it samples a masked row. It must not throw: a step in which it does rejects.
   */
  readonly fillMasks: (() => void) | null
  /** True: StepOutput.logits holds the raw logits. For tests and tools. */
  readonly captureLogits: boolean
}

export interface SampledColumns {
  /** i32 (numLogitRows). */
  readonly tokenIds: Int32Array
  /** u8 (numLogitRows): SAMPLED, NON_FINITE or ALL_FORBIDDEN; the token is 0 and means nothing unless it is SAMPLED. */
  readonly nonFinite: Uint8Array
  /** f32 (numLogitRows): log-softmax of the raw logits at the chosen token; 0 where not asked for. */
  readonly logprobs: Float32Array
  /** (numLogitRows, 20), best first; filled up to numTopLogprobs. */
  readonly topTokenIds: Int32Array
  readonly topLogprobs: Float32Array
}
