/** Counted rules: a body's automaton bent into a loop around one boundary state. */
import { hasEdges, renameTargets, targetsOf, type DfaState, type RuleDfa } from './rule-dfa.ts'
import { numberFromStart } from './minimize-rule.ts'

/**
 * The loop over `body` (minimized) with its one boundary as state 0; null when a text of the body is the beginning of another one, symbol
 * by symbol: then the end of a repeat cannot be a state, and the loop must call the body.
 */
export function loopOverBody(body: RuleDfa): RuleDfa | null {
  const startIsReentered = body.states.some((state) => targetsOf(state).includes(0))
  for (const [index, state] of body.states.entries()) {
    const isPlainStart = index === 0 && !startIsReentered
    if (state.accepts && !isPlainStart && hasEdges(state)) return null
  }
  const boundary = body.states.length
  // The old ends are no longer reached, nor the start unless the body comes back to it.
  const names = body.states.map((state, index) => (state.accepts && index !== 0 ? boundary : index))
  const states: DfaState[] = body.states.map((state) => renameTargets(state, names))
  states.push({ ...states[0]!, accepts: true })
  return numberFromStart({ states }, boundary)
}

/** The loop that calls the body's rule. */
export function loopOverCall(rule: number): RuleDfa {
  return { states: [{ accepts: true, bytes: [], calls: [rule, 0], tokens: [] }] }
}
