/** Subset construction for one rule (Rabin, Scott 1959): calls and tokens are symbols like bytes; epsilons and calls of nothing vanish. */
import { refuseGrammar, type GrammarLimits } from './grammar-limits.ts'
import type { GrammarNfa } from './grammar-nfa.ts'
import type { RuleFacts } from './nullable-rules.ts'
import { appendBytes, type DfaState, type RuleDfa } from './rule-dfa.ts'

/** Room of all subsets of one compilation, in members, for each state that the automaton may have. */
const SUBSET_MEMBERS_PER_STATE = 8

/** A rule that may be split has blown up when it takes more than this for each state it was built from, and more than the least. */
const MAX_GROWTH = 8
const LEAST_MEMBERS = 20_000

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

/**
 * The text of one repeat, for a counted rule. Calls of rules that match no text but the empty one are gone. Null: `maySplit`, and the
 * subsets grow out of proportion.
 */
export function determinizeRule({ nfa, facts, budget }: DeterminizeInput, rule: number, maySplit: boolean): RuleDfa | null {
  const { start, final, numStates } = nfa.rules[rule]!
  const maxMembers = maySplit ? Math.max(LEAST_MEMBERS, numStates * MAX_GROWTH) : Infinity
  return new Determinizer(nfa, facts, budget).run(start, final, maxMembers)
}

export interface DeterminizeInput {
  readonly nfa: GrammarNfa
  readonly facts: RuleFacts
  readonly budget: SubsetBudget
}

const NO_PAIRS: readonly number[] = []

class Determinizer {
  private readonly nfa: GrammarNfa
  private readonly facts: RuleFacts
  private readonly budget: SubsetBudget
  private final = -1
  /** Of all subsets. */
  private numMembers = 0
  /** By DFA state: the members that have edges, and the final state; ascending. */
  private readonly subsets: number[][] = []
  private readonly stateOfSubset = new Map<string | number, number>()
  /** DFA state by the single NFA state that was read into. */
  private readonly stateOfSingle = new Map<number, number>()
  private readonly cuts = new Uint8Array(257)
  private readonly segmentOf = new Int32Array(256)

  constructor(nfa: GrammarNfa, facts: RuleFacts, budget: SubsetBudget) {
    this.nfa = nfa
    this.facts = facts
    this.budget = budget
  }

  run(start: number, final: number, maxMembers: number): RuleDfa | null {
    this.final = final
    const states: DfaState[] = []
    this.stateFor([start])
    for (let state = 0; state < this.subsets.length; state++) {
      if (this.numMembers > maxMembers) return null
      const members = this.subsets[state]!
      states.push({
        accepts: members.includes(final),
        bytes: this.byteEdges(members),
        calls: this.pairEdges(
          members.map((member) => this.nfa.calls(member)),
          this.facts.productive,
        ),
        tokens: this.pairEdges(
          members.map((member) => this.nfa.tokens(member)),
          null,
        ),
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
    const key = subset.length === 1 ? subset[0]! : subset.join()
    const known = this.stateOfSubset.get(key)
    if (known !== undefined) return known
    this.budget.spend(subset.length)
    this.numMembers += subset.length
    this.subsets.push(subset)
    this.stateOfSubset.set(key, this.subsets.length - 1)
    return this.subsets.length - 1
  }

  private closure(targets: readonly number[]): number[] {
    const { nfa, facts } = this
    const [first] = targets
    if (targets.length === 1 && nfa.epsilons(first!).length === 0 && nfa.calls(first!).length === 0) return this.isCore(first!) ? [first!] : []
    const seen = new Set<number>(targets)
    const subset: number[] = []
    for (const state of seen) {
      const calls = nfa.calls(state)
      for (const target of nfa.epsilons(state)) seen.add(target)
      for (let i = 0; i < calls.length; i += 2) if (facts.nullable[calls[i]!] === 1) seen.add(calls[i + 1]!)
      if (this.isCore(state)) subset.push(state)
    }
    return subset.sort((a, b) => a - b)
  }

  /** Worth a place in a subset. */
  private isCore(state: number): boolean {
    const { nfa } = this
    return state === this.final || nfa.bytes(state).length > 0 || nfa.calls(state).length > 0 || nfa.tokens(state).length > 0
  }

  private byteEdges(members: readonly number[]): number[] {
    if (members.length !== 1) return this.cutByteEdges(members)
    const edges = this.nfa.bytes(members[0]!)
    if (edges.length > 3) return this.cutByteEdges(members)
    return edges.length === 0 ? [] : [edges[0]!, edges[1]!, this.stateFor([edges[2]!])]
  }

  /** Segments of bytes that lead to the same targets; the room of `cuts` and `segmentOf` is shared. */
  private cutByteEdges(members: readonly number[]): number[] {
    const { cuts, segmentOf } = this
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
  private pairEdges(edgeLists: readonly (readonly number[])[], usable: Uint8Array | null): readonly number[] {
    if (edgeLists.every((edges) => edges.length === 0)) return NO_PAIRS
    const targetsOf = new Map<number, number[]>()
    for (const edges of edgeLists) {
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
