/**
 * Grammars over one vocabulary: the seam between compiled automata and what steers sampling. Implemented natively
 * (`kernels/native/native-vocabulary.ts`) and, slowly and plainly, by `reference-matcher.ts`; both give the same answers.
 */
import type { Automaton } from './automaton.ts'

/** The tokens of one model, prepared once and shared by all its grammars. */
export interface TokenVocabulary {
  readonly vocabSize: number
  /** Takes ownership of nothing; the tables are copied. */
  load(automaton: Automaton): LoadedGrammar
}

/** Immutable but for its cache of masks; shared by all choices that use it. */
export interface LoadedGrammar {
  /** Tables and cached masks, now. The cache has its own bound. */
  readonly memoryBytes: number
  createMatcher(): TokenMatcher
}

/** Where one choice stands in its grammar. */
export interface TokenMatcher {
  /** False: the grammar has no such continuation, and nothing has changed. Tokens without bytes are only taken by token edges. */
  accept(tokenId: number): boolean
  /** Sets the bits of all tokens that `accept` would take (t & 31 of words[t >> 5]); others are left as they are. u32 (ceil(vocabSize / 32)). */
  fillMask(words: Uint32Array): void
  /** The text may end here. */
  readonly canEnd: boolean
  /** The text may end here, and nothing can follow. */
  readonly isComplete: boolean
  /** The longest bytes, at most maxBytes, that every continuation begins with; empty also where the text may end. */
  forcedBytes(maxBytes: number): Uint8Array
  /** The special token that must come next; null when there is a choice, or bytes may follow. */
  forcedTokenId(): number | null
  /** Whether some token that `accept` would take has `bytes` as a true prefix of its own. */
  hasLongerToken(bytes: Uint8Array): boolean
}

/** Thrown by accept, fillMask and forcedBytes when one position has more configurations than this: the grammar is too ambiguous for this text. */
export const MAX_CONFIGURATIONS = 20_000
