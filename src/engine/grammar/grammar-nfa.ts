/**
 * The nondeterministic automata of all rules of one grammar, in one arena: every state belongs to one rule. Symbols are bytes, calls of
 * rules (by index in `rules`) and special tokens; epsilon edges read nothing.
 */
import type { Expr } from './grammar.ts'
import { refuseGrammar } from './grammar-limits.ts'

export interface CountRange {
  /** Whole repeats; <= max. */
  readonly min: number
  /** UNBOUNDED = no end. */
  readonly max: number
}

/** Without edges into `start` or out of `final` that its body did not ask for; `final` never has edges out. */
export interface NfaRule {
  readonly body: Expr
  readonly start: number
  readonly final: number
  /** The states spell one repeat, the rule `count` of them; null = a plain rule. */
  readonly count: CountRange | null
  /** Written by who adds the states. */
  numStates: number
}

const NO_EDGES: number[] = []

export class GrammarNfa {
  readonly rules: NfaRule[] = []
  private readonly maxStates: number
  private readonly epsilonEdges: number[][] = []
  private readonly byteEdges: number[][] = []
  private readonly callEdges: number[][] = []
  private readonly tokenEdges: number[][] = []

  constructor(maxStates: number) {
    this.maxStates = maxStates
  }

  get numStates(): number {
    return this.epsilonEdges.length
  }

  /** Refuses beyond maxStates. */
  addState(): number {
    const state = this.epsilonEdges.length
    if (state >= this.maxStates) throw refuseGrammar(`the grammar expands to more than ${this.maxStates} states`)
    this.epsilonEdges.push(NO_EDGES)
    this.byteEdges.push(NO_EDGES)
    this.callEdges.push(NO_EDGES)
    this.tokenEdges.push(NO_EDGES)
    return state
  }

  addEpsilon(from: number, to: number): void {
    ownList(this.epsilonEdges, from).push(to)
  }

  addBytes(from: number, first: number, last: number, to: number): void {
    ownList(this.byteEdges, from).push(first, last, to)
  }

  addCall(from: number, rule: number, to: number): void {
    ownList(this.callEdges, from).push(rule, to)
  }

  addToken(from: number, tokenId: number, to: number): void {
    ownList(this.tokenEdges, from).push(tokenId, to)
  }

  /** Targets. */
  epsilons(state: number): readonly number[] {
    return this.epsilonEdges[state]!
  }

  /** Flat: first, last, target. */
  bytes(state: number): readonly number[] {
    return this.byteEdges[state]!
  }

  /** Flat: rule, return state. */
  calls(state: number): readonly number[] {
    return this.callEdges[state]!
  }

  /** Flat: token id, target. */
  tokens(state: number): readonly number[] {
    return this.tokenEdges[state]!
  }
}

function ownList(lists: number[][], state: number): number[] {
  const list = lists[state]!
  if (list !== NO_EDGES) return list
  const own: number[] = []
  lists[state] = own
  return own
}
