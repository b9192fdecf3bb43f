/** Bounds of one compilation; the answer to each is a refusal that names it. */
import { InferdError } from '#contract/errors'

export interface GrammarLimits {
  /** UTF-8 bytes of a schema, pattern or grammar, and of all tools together. */
  readonly maxSourceBytes: number
  /** Nesting of a schema, pattern or grammar expression. */
  readonly maxDepth: number
  /** Values of one enum, choices of a choice list. */
  readonly maxEnumValues: number
  /** Properties of one object. */
  readonly maxProperties: number
  /** Nodes of expressions that a front end may make. */
  readonly maxExprNodes: number
  /** States of one character automaton on the way (products, subset construction). */
  readonly maxCharStates: number
  /** States of the whole byte automaton. */
  readonly maxStates: number
  readonly maxRules: number
  /** Edges of the whole byte automaton. */
  readonly maxEdges: number
}

export const DEFAULT_GRAMMAR_LIMITS: GrammarLimits = {
  maxSourceBytes: 262_144,
  maxDepth: 64,
  maxEnumValues: 10_000,
  maxProperties: 2_000,
  maxExprNodes: 500_000,
  maxCharStates: 20_000,
  maxStates: 400_000,
  maxRules: 50_000,
  maxEdges: 2_000_000,
}

/** The refusal of every front end. `place` says where in the source, in its own words: `at /properties/a/format`, `at character 17`; '' = the whole. */
export function refuseGrammar(reason: string, place = ''): InferdError {
  return new InferdError('invalid_parameter', place === '' ? reason : `${reason} (${place})`, { param: 'output.format' })
}
