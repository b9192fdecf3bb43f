/** An output specification to the automaton that holds a choice to it. Pure; everything is bounded by the limits. */
import type { Automaton } from '#engine/grammar/automaton'
import { compileAutomaton } from '#engine/grammar/compile-automaton'
import { DEFAULT_GRAMMAR_LIMITS, type GrammarLimits } from '#engine/grammar/grammar-limits'
import { buildOutputGrammar } from './build-output-grammar.ts'
import type { OutputSpec } from './output-spec.ts'

/** Throws InferdError('invalid_parameter'): refused by name, or beyond a limit. */
export function compileOutput(spec: OutputSpec, limits: GrammarLimits = DEFAULT_GRAMMAR_LIMITS): Automaton {
  return compileAutomaton(buildOutputGrammar(spec, limits), limits)
}
