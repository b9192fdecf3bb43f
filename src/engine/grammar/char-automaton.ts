/**
 * Regular languages over code points, as deterministic automata: what patterns, formats, property names and number ranges are made
 * of. Immutable. The algebra over them is `char-algebra.ts`.
 */

/** Flat, ascending, disjoint, not adjacent pairs of first and last code point, both inside. */
export type CharRanges = readonly number[]

export interface CharEdge {
  readonly first: number
  readonly last: number
  readonly target: number
}

/**
 * State 0 is the start. Trimmed: every state is reachable and reaches an accepting one; only the empty language has a start state
 * that does not (it is then alone, without edges). Surrogates (U+D800 to U+DFFF) are on no edge: UTF-8 cannot spell them.
 */
export interface CharAutomaton {
  /** By state: ascending, disjoint. */
  readonly edges: readonly (readonly CharEdge[])[]
  /** By state. */
  readonly accepting: readonly boolean[]
}

export const MAX_CODE_POINT = 0x10ffff

/** Every code point but the surrogates. */
export const ANY_CHAR: CharRanges = [0, 0xd7ff, 0xe000, MAX_CODE_POINT]
