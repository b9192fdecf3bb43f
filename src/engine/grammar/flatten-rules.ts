/** Finished rules into the tables of an Automaton. */
import { ACCEPTS, BOUNDARY, FREE_TEXT, UNCOUNTED, type Automaton } from './automaton.ts'
import { refuseGrammar, type GrammarLimits } from './grammar-limits.ts'
import type { CountRange } from './grammar-nfa.ts'
import type { RuleDfa } from './rule-dfa.ts'

/** Calls name rules by their place in the list. In a counted rule state 0 is the one boundary and the one that accepts. */
export interface FinishedRule {
  readonly dfa: RuleDfa
  readonly count: CountRange | null
  /** Ascending. */
  readonly freeStates: readonly number[]
}

/** Rule 0 is the root. Refuses beyond maxStates and maxEdges. */
export function flattenRules(rules: readonly FinishedRule[], matchesEmpty: boolean, limits: GrammarLimits): Automaton {
  const tables = allocateTables(rules, matchesEmpty, limits)
  let state = 0
  let byteEdge = 0
  let callEdge = 0
  let tokenEdge = 0
  for (const [rule, { dfa, count, freeStates }] of rules.entries()) {
    const base = state
    tables.ruleStart[rule] = base
    tables.ruleMin[rule] = count?.min ?? 0
    tables.ruleMax[rule] = count?.max ?? UNCOUNTED
    for (const [index, { accepts, bytes, calls, tokens }] of dfa.states.entries()) {
      tables.stateRule[state] = rule
      tables.stateFlags[state] = (accepts ? ACCEPTS : 0) | (count !== null && index === 0 ? BOUNDARY : 0)
      for (let i = 0; i < bytes.length; i += 3, byteEdge++) {
        tables.byteFirst[byteEdge] = bytes[i]!
        tables.byteLast[byteEdge] = bytes[i + 1]!
        tables.byteTarget[byteEdge] = base + bytes[i + 2]!
      }
      for (let i = 0; i < calls.length; i += 2, callEdge++) {
        tables.callRule[callEdge] = calls[i]!
        tables.callReturn[callEdge] = base + calls[i + 1]!
      }
      for (let i = 0; i < tokens.length; i += 2, tokenEdge++) {
        tables.tokenIds[tokenEdge] = tokens[i]!
        tables.tokenTarget[tokenEdge] = base + tokens[i + 1]!
      }
      state += 1
      tables.byteStarts[state] = byteEdge
      tables.callStarts[state] = callEdge
      tables.tokenStarts[state] = tokenEdge
    }
    for (const free of freeStates) tables.stateFlags[base + free]! |= FREE_TEXT
  }
  return tables
}

function allocateTables(rules: readonly FinishedRule[], matchesEmpty: boolean, limits: GrammarLimits): Automaton {
  let numStates = 0
  let numByteEdges = 0
  let numCallEdges = 0
  let numTokenEdges = 0
  for (const { dfa } of rules) {
    numStates += dfa.states.length
    for (const { bytes, calls, tokens } of dfa.states) {
      numByteEdges += bytes.length / 3
      numCallEdges += calls.length / 2
      numTokenEdges += tokens.length / 2
    }
  }
  if (numStates > limits.maxStates) throw refuseGrammar(`the grammar needs more than ${limits.maxStates} states`)
  if (numByteEdges + numCallEdges + numTokenEdges > limits.maxEdges) throw refuseGrammar(`the grammar needs more than ${limits.maxEdges} edges`)
  return {
    numStates,
    numRules: rules.length,
    rootRule: 0,
    matchesEmpty,
    ruleStart: new Int32Array(rules.length),
    ruleMin: new Int32Array(rules.length),
    ruleMax: new Int32Array(rules.length),
    stateRule: new Int32Array(numStates),
    stateFlags: new Uint8Array(numStates),
    byteStarts: new Int32Array(numStates + 1),
    byteFirst: new Uint8Array(numByteEdges),
    byteLast: new Uint8Array(numByteEdges),
    byteTarget: new Int32Array(numByteEdges),
    callStarts: new Int32Array(numStates + 1),
    callRule: new Int32Array(numCallEdges),
    callReturn: new Int32Array(numCallEdges),
    tokenStarts: new Int32Array(numStates + 1),
    tokenIds: new Int32Array(numTokenEdges),
    tokenTarget: new Int32Array(numTokenEdges),
  }
}
