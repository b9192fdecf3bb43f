/** Subset construction for one rule (Rabin, Scott 1959): calls and tokens are symbols like bytes; epsilons and calls of nothing vanish. */
import { refuseGrammar, type GrammarLimits } from './grammar-limits.ts'
import type { GrammarNfa } from './grammar-nfa.ts'
import type { RuleFacts } from './nullable-rules.ts'
import { appendBytes, type DfaState, type RuleDfa } from './rule-dfa.ts'

/** Room of all subsets of one compilation, in members, for each state that the automaton may have. */
const SUBSET_MEMBERS_PER_STATE = 8

/** What one compilation may still spend; shared by its rules. */
export class SubsetBudget {
  private statesLeft: number
  private membersLeft: number
  private readonly limits: GrammarLimits

  constructor(limits: GrammarLimits) {
    this.limits = limits
    this.statesLeft = limits.maxStates
    this.membersLeft = limits.maxStates * SUBSET_MEMBERS_PER_STATE
  }

  spend(members: number): void {
    this.statesLeft -= 1
    this.membersLeft -= members
    if (this.statesLeft < 0 || this.membersLeft < 0) throw refuseGrammar(`the grammar needs more than ${this.limits.maxStates} states`)
  }
}

/** The text of one repeat, for a counted rule. Calls of rules that match no text but the empty one are gone. */
export function determinizeRule(nfa: GrammarNfa, facts: RuleFacts, rule: number, budget: SubsetBudget): RuleDfa {
  return new Determinizer(nfa, facts, budget).run(nfa.rules[rule]!.start, nfa.rules[rule]!.final)
}

class Determinizer {
  private readonly nfa: GrammarNfa
  private readonly facts: RuleFacts
  private readonly budget: SubsetBudget
  private final = -1
  /** By DFA state: the members that have edges, and the final state; ascending. */
  private readonly subsets: number[][] = []
  private readonly stateOfSubset = new Map<string, number>()
  /** DFA state by the single NFA state that was read into. */
  private readonly stateOfSingle = new Map<number, number>()
  private readonly cuts = new Uint8Array(257)

  constructor(nfa: GrammarNfa, facts: RuleFacts, budget: SubsetBudget) {
    this.nfa = nfa
    this.facts = facts
    this.budget = budget
  }

  run(start: number, final: number): RuleDfa {
    this.final = final
    const states: DfaState[] = []
    this.stateFor([start])
    for (let state = 0; state < this.subsets.length; state++) {
      const members = this.subsets[state]!
      states.push({
        accepts: members.includes(final),
        bytes: this.byteEdges(members),
        calls: this.pairEdges(members, (member) => this.nfa.calls(member), this.facts.productive),
        tokens: this.pairEdges(members, (member) => this.nfa.tokens(member), null),
      })
    }
    return { states }
  }

  private stateFor(targets: readonly number[]): number {
    if (targets.length > 1) return this.stateForSubset(this.closure(targets))
    const known = this.stateOfSingle.get(targets[0]!)
    if (known !== undefined) return known
    const state = this.stateForSubset(this.closure(targets))
    this.stateOfSingle.set(targets[0]!, state)
    return state
  }

  private stateForSubset(subset: number[]): number {
    const key = subset.join()
    const known = this.stateOfSubset.get(key)
    if (known !== undefined) return known
    this.budget.spend(subset.length)
    this.subsets.push(subset)
    this.stateOfSubset.set(key, this.subsets.length - 1)
    return this.subsets.length - 1
  }

  private closure(targets: readonly number[]): number[] {
    const { nfa, facts } = this
    const seen = new Set<number>(targets)
    const subset: number[] = []
    for (const state of seen) {
      const calls = nfa.calls(state)
      for (const target of nfa.epsilons(state)) seen.add(target)
      for (let i = 0; i < calls.length; i += 2) if (facts.nullable[calls[i]!] === 1) seen.add(calls[i + 1]!)
      if (state === this.final || calls.length > 0 || nfa.bytes(state).length > 0 || nfa.tokens(state).length > 0) subset.push(state)
    }
    return subset.sort((a, b) => a - b)
  }

  private byteEdges(members: readonly number[]): number[] {
    const { cuts } = this
    cuts.fill(0)
    let numEdges = 0
    for (const member of members) {
      const edges = this.nfa.bytes(member)
      for (let i = 0; i < edges.length; i += 3) {
        cuts[edges[i]!] = 1
        cuts[edges[i + 1]! + 1] = 1
        numEdges += 1
      }
    }
    if (numEdges === 0) return []
    const targets: number[][] = []
    const segmentOf = new Int32Array(256)
    const segmentFirst: number[] = []
    for (let byte = 0; byte < 256; byte++) {
      if (byte === 0 || cuts[byte] === 1) {
        segmentFirst.push(byte)
        targets.push([])
      }
      segmentOf[byte] = targets.length - 1
    }
    segmentFirst.push(256)
    for (const member of members) {
      const edges = this.nfa.bytes(member)
      for (let i = 0; i < edges.length; i += 3) {
        for (let segment = segmentOf[edges[i]!]!; segment <= segmentOf[edges[i + 1]!]!; segment++) targets[segment]!.push(edges[i + 2]!)
      }
    }
    const bytes: number[] = []
    for (const [segment, list] of targets.entries()) {
      if (list.length > 0) appendBytes(bytes, segmentFirst[segment]!, segmentFirst[segment + 1]! - 1, this.stateFor(list))
    }
    return bytes
  }

  /** `usable`: by symbol; null = all. */
  private pairEdges(members: readonly number[], edgesOf: (member: number) => readonly number[], usable: Uint8Array | null): number[] {
    const targetsOf = new Map<number, number[]>()
    for (const member of members) {
      const edges = edgesOf(member)
      for (let i = 0; i < edges.length; i += 2) {
        const symbol = edges[i]!
        if (usable !== null && usable[symbol] === 0) continue
        const targets = targetsOf.get(symbol)
        if (targets === undefined) targetsOf.set(symbol, [edges[i + 1]!])
        else targets.push(edges[i + 1]!)
      }
    }
    const pairs: number[] = []
    for (const [symbol, targets] of targetsOf) pairs.push(symbol, this.stateFor(targets))
    return pairs
  }
}
