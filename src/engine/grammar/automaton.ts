/**
 * A compiled grammar: a pushdown automaton over bytes in flat tables. `compile-automaton.ts` writes it, the native matcher
 * (native/src/grammar/) runs it, `reference-matcher.ts` defines what it means. Typed arrays only, so that it travels between threads.
 *
 * A configuration is (state, count, frame); a frame holds where its rule was called from, and what to go on with. A set of
 * configurations is moved byte by byte:
 *
 *  - byte edges: at most one target per state and byte;
 *  - call edges (rule, returnState): taken without reading; a frame for (rule, position) is shared by all its callers, so that left and
 *    right recursion and ambiguity cost a bounded set and not a tree;
 *  - a state that ACCEPTS ends its rule (root: the text may end here), but never before the rule has read a byte or token: a caller of a
 *    rule that matches the empty text has an edge around the call instead;
 *  - token edges: a whole special token, only between tokens of the text.
 *
 * Counted rules: `ruleMax` is not UNCOUNTED. The start and every BOUNDARY state of the rule are boundaries. A frame begins with count 0;
 * arriving at a BOUNDARY state (by a byte, a token or a return) adds 1. A boundary may only be left while count < ruleMax, and the rule may
 * only end at a boundary with count >= ruleMin. The compiler sees to it that every count on the way can be completed, so that the automaton
 * has no dead ends: from every configuration some text leads to the end.
 */

/** `ruleMax` of a rule without a count. */
export const UNCOUNTED = -1
/** `ruleMax` of a counted rule without an upper end. Its count may stop growing at ruleMin. */
export const UNBOUNDED = 0x7fffffff

/** The rule may end in this state. */
export const ACCEPTS = 1
/** Arriving here counts, in a counted rule. */
export const BOUNDARY = 2
/**
 * Every code point that stands for itself in a JSON string (not `"`, `\`, U+0000 to U+001F, no surrogate) leads from this state back to it,
 * through states that have no other way in or out. Lets a matcher allow all tokens of such text at once.
 */
export const FREE_TEXT = 4

export interface Automaton {
  readonly numStates: number
  readonly numRules: number
  readonly rootRule: number
  /** The empty text is in the language. */
  readonly matchesEmpty: boolean
  /** i32 (numRules). */
  readonly ruleStart: Int32Array<ArrayBuffer>
  readonly ruleMin: Int32Array<ArrayBuffer>
  readonly ruleMax: Int32Array<ArrayBuffer>
  /** i32 (numStates). */
  readonly stateRule: Int32Array<ArrayBuffer>
  /** u8 (numStates): ACCEPTS, BOUNDARY, FREE_TEXT. */
  readonly stateFlags: Uint8Array<ArrayBuffer>
  /** i32 (numStates + 1): ranges of the byte edges, ascending and disjoint by byte within a state. */
  readonly byteStarts: Int32Array<ArrayBuffer>
  readonly byteFirst: Uint8Array<ArrayBuffer>
  readonly byteLast: Uint8Array<ArrayBuffer>
  readonly byteTarget: Int32Array<ArrayBuffer>
  /** i32 (numStates + 1). */
  readonly callStarts: Int32Array<ArrayBuffer>
  readonly callRule: Int32Array<ArrayBuffer>
  readonly callReturn: Int32Array<ArrayBuffer>
  /** i32 (numStates + 1). */
  readonly tokenStarts: Int32Array<ArrayBuffer>
  readonly tokenIds: Int32Array<ArrayBuffer>
  readonly tokenTarget: Int32Array<ArrayBuffer>
}
