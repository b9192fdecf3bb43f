/** From any deterministic automaton to the one CharAutomaton of its language: trimmed, minimal, numbered breadth first. */
import type { Alphabet } from './char-algebra-alphabet.ts'
import type { CharBudget } from './char-algebra-budget.ts'
import type { CharAutomaton, CharEdge } from './char-automaton.ts'

/** Deterministic; state 0 is the start; every state is reachable. */
export interface ClassedAutomaton {
  readonly alphabet: Alphabet
  readonly accepting: readonly boolean[]
  /** By state: flat pairs of class and target; a class at most once. */
  readonly moves: readonly (readonly number[])[]
}

/** The empty language. */
export const NO_TEXT: CharAutomaton = { edges: [[]], accepting: [false] }

export function minimize(automaton: ClassedAutomaton, budget: CharBudget): CharAutomaton {
  const live = statesThatEnd(automaton)
  if (live[0] === 0) return NO_TEXT
  const blockOf = equivalentStates(automaton, live, budget)
  const edges: CharEdge[][] = []
  const accepting: boolean[] = []
  automaton.moves.forEach((moves, state) => {
    const block = blockOf[state]!
    if (live[state] === 0 || edges[block] !== undefined) return
    accepting[block] = automaton.accepting[state]!
    const spans: CharEdge[] = []
    for (let i = 0; i < moves.length; i += 2) {
      const target = moves[i + 1]!
      if (live[target] === 0) continue
      const ranges = automaton.alphabet.rangesOfClass[moves[i]!]!
      for (let r = 0; r < ranges.length; r += 2) spans.push({ first: ranges[r]!, last: ranges[r + 1]!, target: blockOf[target]! })
    }
    budget.spend(spans.length)
    edges[block] = mergeEdges(spans)
  })
  return renumber({ edges, accepting }, blockOf[0]!)
}

/** Sorts; adjacent edges with one target become one. */
export function mergeEdges(edges: CharEdge[]): CharEdge[] {
  edges.sort((a, b) => a.first - b.first)
  const merged: CharEdge[] = []
  for (const edge of edges) {
    const before = merged.at(-1)
    if (before !== undefined && before.last === edge.first - 1 && before.target === edge.target)
      merged[merged.length - 1] = { first: before.first, last: edge.last, target: edge.target }
    else merged.push(edge)
  }
  return merged
}

/** Breadth first from `start`, in the order of the edges: equal languages get equal automata. Unreachable states fall out. */
export function renumber(automaton: CharAutomaton, start: number): CharAutomaton {
  const numberOf = new Map([[start, 0]])
  const order = [start]
  for (const state of order) {
    for (const edge of automaton.edges[state]!) {
      if (numberOf.has(edge.target)) continue
      numberOf.set(edge.target, order.length)
      order.push(edge.target)
    }
  }
  return {
    edges: order.map((state) => automaton.edges[state]!.map(({ first, last, target }) => ({ first, last, target: numberOf.get(target)! }))),
    accepting: order.map((state) => automaton.accepting[state]!),
  }
}

/** u8 by state: 1 where some text leads to an accepting state. */
function statesThatEnd(automaton: ClassedAutomaton): Uint8Array {
  const sources: number[][] = automaton.moves.map(() => [])
  automaton.moves.forEach((moves, state) => {
    for (let i = 1; i < moves.length; i += 2) if (sources[moves[i]!]!.at(-1) !== state) sources[moves[i]!]!.push(state)
  })
  const live = new Uint8Array(automaton.moves.length)
  const queue: number[] = []
  automaton.accepting.forEach((accepts, state) => {
    if (!accepts) return
    live[state] = 1
    queue.push(state)
  })
  for (const state of queue) {
    for (const source of sources[state]!) {
      if (live[source] === 1) continue
      live[source] = 1
      queue.push(source)
    }
  }
  return live
}

/** A partition of 0..n-1 into sets that can be split. Elements lie in one array, each set in one run of it. */
class Partition {
  numSets: number
  readonly setOf: Int32Array
  readonly starts: number[]
  readonly ends: number[]
  readonly elements: Int32Array
  private readonly positions: Int32Array
  private readonly numMarked: number[]
  private readonly markedSets: number[] = []

  /** `groups`: the sets to begin with. */
  constructor(numElements: number, groups: Iterable<readonly number[]>) {
    this.setOf = new Int32Array(numElements)
    this.elements = new Int32Array(numElements)
    this.positions = new Int32Array(numElements)
    this.starts = []
    this.ends = []
    this.numMarked = []
    let at = 0
    for (const group of groups) {
      this.starts.push(at)
      for (const element of group) {
        this.setOf[element] = this.ends.length
        this.elements[at] = element
        this.positions[element] = at++
      }
      this.ends.push(at)
      this.numMarked.push(0)
    }
    this.numSets = this.ends.length
  }

  /** Marked elements move to the front of their set. An element is marked at most once between two splits. */
  mark(element: number): void {
    const set = this.setOf[element]!
    const to = this.starts[set]! + this.numMarked[set]!
    const from = this.positions[element]!
    const other = this.elements[to]!
    this.elements[from] = other
    this.positions[other] = from
    this.elements[to] = element
    this.positions[element] = to
    if (this.numMarked[set]!++ === 0) this.markedSets.push(set)
  }

  /** Every set that is marked in part falls in two; the smaller part becomes the new set. */
  split(): void {
    for (const set of this.markedSets) {
      const middle = this.starts[set]! + this.numMarked[set]!
      this.numMarked[set] = 0
      if (middle === this.ends[set]) continue
      const frontIsSmaller = middle - this.starts[set]! <= this.ends[set]! - middle
      const [start, end] = frontIsSmaller ? [this.starts[set]!, middle] : [middle, this.ends[set]!]
      if (frontIsSmaller) this.starts[set] = middle
      else this.ends[set] = middle
      this.starts.push(start)
      this.ends.push(end)
      this.numMarked.push(0)
      for (let i = start; i < end; i++) this.setOf[this.elements[i]!] = this.numSets
      this.numSets++
    }
    this.markedSets.length = 0
  }
}

/**
 * i32 by state: the number of its class of equivalent states; only for live ones. Two partitions refine each other: states by the sets of
 * edges that leave them, edges by the sets of states that they enter (A. Valmari, Fast brief practical DFA minimization, 2012).
 */
function equivalentStates(automaton: ClassedAutomaton, live: Uint8Array, budget: CharBudget): Int32Array {
  const numStates = automaton.moves.length
  const sources: number[] = []
  const entering: number[][] = automaton.moves.map(() => [])
  const byClass = new Map<number, number[]>()
  automaton.moves.forEach((moves, state) => {
    if (live[state] === 0) return
    for (let i = 0; i < moves.length; i += 2) {
      if (live[moves[i + 1]!] === 0) continue
      entering[moves[i + 1]!]!.push(sources.length)
      const sameClass = byClass.get(moves[i]!)
      if (sameClass === undefined) byClass.set(moves[i]!, [sources.length])
      else sameClass.push(sources.length)
      sources.push(state)
    }
  })
  const states: [number[], number[]] = [[], []]
  for (let state = 0; state < numStates; state++) if (live[state] === 1) states[automaton.accepting[state]! ? 1 : 0].push(state)
  const blocks = new Partition(
    numStates,
    states.filter((group) => group.length > 0),
  )
  const cords = new Partition(sources.length, byClass.values())
  for (let cord = 0, block = 0; cord < cords.numSets; cord++) {
    budget.spend(cords.ends[cord]! - cords.starts[cord]!)
    for (let i = cords.starts[cord]!; i < cords.ends[cord]!; i++) blocks.mark(sources[cords.elements[i]!]!)
    blocks.split()
    for (; block < blocks.numSets; block++) {
      for (let i = blocks.starts[block]!; i < blocks.ends[block]!; i++) {
        const edges = entering[blocks.elements[i]!]!
        budget.spend(edges.length)
        for (const edge of edges) cords.mark(edge)
      }
      cords.split()
    }
  }
  return blocks.setOf
}
