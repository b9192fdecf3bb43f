/** Which rules match the empty text, and which match some text that is not empty. */
import type { GrammarNfa } from './grammar-nfa.ts'

export interface RuleFacts {
  /** By rule: repeated no times, or its body matches the empty text. */
  readonly nullable: Uint8Array
  /** By rule: matches some text with at least one byte or token. */
  readonly productive: Uint8Array
}

/** Linear in the edges: a call waits until its rule is known to match. */
export function findRuleFacts(nfa: GrammarNfa): RuleFacts {
  const nullable = new Uint8Array(nfa.rules.length)
  const productive = new Uint8Array(nfa.rules.length)
  /** Reached from the start of its rule by the empty text. */
  const reachedEmpty = new Uint8Array(nfa.numStates)
  /** Reached by some other text. */
  const reachedRead = new Uint8Array(nfa.numStates)
  const ruleOfFinal = new Map(nfa.rules.map((rule, index) => [rule.final, index]))
  const waitingForEmpty: Passage[][] = nfa.rules.map(() => [])
  const waitingForText: number[][] = nfa.rules.map(() => [])
  const open: Passage[] = []

  const reach = (state: number, hasRead: boolean): void => {
    const reached = hasRead ? reachedRead : reachedEmpty
    if (reached[state] === 1) return
    reached[state] = 1
    open.push({ state, hasRead })
  }
  const markNullable = (rule: number): void => {
    if (nullable[rule] === 1) return
    nullable[rule] = 1
    for (const { state, hasRead } of waitingForEmpty[rule]!) reach(state, hasRead)
  }
  const markProductive = (rule: number): void => {
    if (productive[rule] === 1) return
    productive[rule] = 1
    for (const state of waitingForText[rule]!) reach(state, true)
  }
  const followCalls = ({ state, hasRead }: Passage): void => {
    const calls = nfa.calls(state)
    for (let i = 0; i < calls.length; i += 2) {
      const callee = calls[i]!
      const returnState = calls[i + 1]!
      if (nullable[callee] === 1) reach(returnState, hasRead)
      else waitingForEmpty[callee]!.push({ state: returnState, hasRead })
      if (productive[callee] === 1) reach(returnState, true)
      else waitingForText[callee]!.push(returnState)
    }
  }

  for (const [index, rule] of nfa.rules.entries()) {
    reach(rule.start, false)
    if (rule.count?.min === 0) markNullable(index)
  }
  while (open.length > 0) {
    const passage = open.pop()!
    const { state, hasRead } = passage
    const ended = ruleOfFinal.get(state)
    if (ended !== undefined && hasRead) markProductive(ended)
    if (ended !== undefined && !hasRead) markNullable(ended)
    for (const target of nfa.epsilons(state)) reach(target, hasRead)
    const bytes = nfa.bytes(state)
    for (let i = 0; i < bytes.length; i += 3) reach(bytes[i + 2]!, true)
    const tokens = nfa.tokens(state)
    for (let i = 0; i < tokens.length; i += 2) reach(tokens[i + 1]!, true)
    followCalls(passage)
  }
  return { nullable, productive }
}

interface Passage {
  readonly state: number
  readonly hasRead: boolean
}
