/** Subset construction: automata with empty steps become CharAutomata. */
import { classify } from './char-algebra-alphabet.ts'
import type { CharBudget } from './char-algebra-budget.ts'
import { type ClassedAutomaton, minimize } from './char-algebra-minimize.ts'
import type { CharAutomaton, CharEdge } from './char-automaton.ts'

/** Collects states, edges and empty steps. State 0 is the start and does not accept unless told. */
export class EmptyStepAutomaton {
  readonly edges: (readonly CharEdge[])[] = [[]]
  readonly emptySteps: number[][] = [[]]
  readonly accepting: boolean[] = [false]
  private readonly budget: CharBudget

  constructor(budget: CharBudget) {
    this.budget = budget
  }

  /** A copy of `automaton` of which no state accepts. Returns its start, and the states that accepted. */
  append(automaton: CharAutomaton): { readonly start: number; readonly ends: readonly number[] } {
    const start = this.edges.length
    this.addStates(automaton.edges.map((edges) => edges.map(({ first, last, target }) => ({ first, last, target: target + start }))))
    return { start, ends: automaton.accepting.flatMap((accepts, state) => (accepts ? [start + state] : [])) }
  }

  /** States with edges to any states, those still to come included. */
  addStates(edgesByState: readonly (readonly CharEdge[])[]): void {
    // Half of the states may be starts and ends of parts, which join.
    this.budget.checkStates((this.edges.length + edgesByState.length - 1) >> 1)
    for (const edges of edgesByState) {
      this.budget.spend(edges.length + 1)
      this.edges.push(edges)
      this.emptySteps.push([])
      this.accepting.push(false)
    }
  }

  link(from: number, to: number): void {
    this.emptySteps[from]!.push(to)
  }

  accept(states: readonly number[]): void {
    for (const state of states) this.accepting[state] = true
  }
}

export function determinize(source: EmptyStepAutomaton, budget: CharBudget): CharAutomaton {
  budget.startConstruction()
  return minimize(new SubsetConstruction(source, budget).run(), budget)
}

class SubsetConstruction {
  private readonly source: EmptyStepAutomaton
  private readonly budget: CharBudget
  /** By subset: its states that have edges or accept, ascending. */
  private readonly subsets: number[][] = []
  private readonly ids = new Map<string, number>()
  private readonly accepting: boolean[] = []
  /** By state: the last closure that has seen it. */
  private readonly seenBy: Int32Array
  private numClosures = 0

  constructor(source: EmptyStepAutomaton, budget: CharBudget) {
    this.source = source
    this.budget = budget
    this.seenBy = new Int32Array(source.edges.length)
  }

  run(): ClassedAutomaton {
    const { alphabet, moves } = classify(this.source.edges, this.budget)
    const targetsOf: number[][] = Array.from({ length: alphabet.numClasses }, () => [])
    const subsetMoves: number[][] = []
    this.subsetFor([0])
    for (let subset = 0; subset < this.subsets.length; subset++) {
      const reached: number[] = []
      for (const state of this.subsets[subset]!) {
        const pairs = moves[state]!
        this.budget.spend(1 + (pairs.length >> 1))
        for (let i = 0; i < pairs.length; i += 2) {
          const targets = targetsOf[pairs[i]!]!
          if (targets.length === 0) reached.push(pairs[i]!)
          targets.push(pairs[i + 1]!)
        }
      }
      const flat: number[] = []
      for (const charClass of reached) {
        flat.push(charClass, this.subsetFor(targetsOf[charClass]!))
        targetsOf[charClass]!.length = 0
      }
      subsetMoves.push(flat)
    }
    return { alphabet, accepting: this.accepting, moves: subsetMoves }
  }

  /** The subset of all states that empty steps reach from `states`; made when it is new. */
  private subsetFor(states: readonly number[]): number {
    const stamp = ++this.numClosures
    const members: number[] = []
    const stack = [...states]
    let accepts = false
    while (stack.length > 0) {
      const state = stack.pop()!
      if (this.seenBy[state] === stamp) continue
      this.seenBy[state] = stamp
      accepts ||= this.source.accepting[state]!
      if (this.source.accepting[state]! || this.source.edges[state]!.length > 0) members.push(state)
      const steps = this.source.emptySteps[state]!
      this.budget.spend(1 + steps.length)
      for (const next of steps) stack.push(next)
    }
    members.sort((a, b) => a - b)
    const key = members.join(',')
    const known = this.ids.get(key)
    if (known !== undefined) return known
    const id = this.subsets.length
    this.budget.checkStates(id + 1)
    this.ids.set(key, id)
    this.subsets.push(members)
    this.accepting.push(accepts)
    return id
  }
}
