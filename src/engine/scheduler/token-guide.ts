/**
 * Steers one choice token by token: which tokens may come next, and which must. The scheduler asks and tells; what the rules are
 * (grammar, reasoning budget) is decided in rooms above. One guide per choice; it outlives preemption, as tokens never change.
 */
export interface TokenGuide {
  /** Whether the next sampled token needs a mask. Asked once per step that samples the choice. */
  readonly isConstrained: boolean
  /**
   * Sets bit (t & 31) of words[t >> 5] for every allowed token t; words are all 0 before. Called only when isConstrained, once per
   * sampled token, while the step runs. End-of-sequence tokens are set where the choice may end.
   */
  fillMask(words: Uint32Array): void
  /** Hot: per token. The choice got this token: the sampled one, or one of forcedTokens(). Not called with the token that ends the choice. */
  accept(tokenId: number): void
  /**
   * Tokens that must follow what was accepted, at most `maxTokens`; empty = the model decides. The scheduler appends them without
   * sampling, and accepts each. Called after every accepted token that was sampled.
   */
  forcedTokens(maxTokens: number): readonly number[]
  /** Nothing may follow: the choice ends with 'stop' without a further token. */
  readonly isComplete: boolean
}
