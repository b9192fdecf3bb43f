/**
 * The smallest automaton of one rule: trims states that reach no end, then refines the partition of the states (Valmari, "Fast brief
 * practical DFA minimization", 2012): O(edges log edges), partial transition functions.
 */
import { RefinablePartition } from './refinable-partition.ts'
import { renameTargets, targetsOf, type DfaState, type RuleDfa } from './rule-dfa.ts'

/** The states are numbered breadth first from the start. A rule that matches nothing keeps its start alone. */
export function minimizeRule(dfa: RuleDfa): RuleDfa {
  const trimmed = keepStates(dfa, statesThatEnd(dfa))
  const blocks = equivalentStates(trimmed)
  const merged: DfaState[] = []
  for (const [state, block] of blocks.entries()) merged[block] ??= renameTargets(trimmed.states[state]!, blocks)
  return numberFromStart({ states: merged }, blocks[0]!)
}

/** Renumbered breadth first; what `start` does not reach is dropped. */
export function numberFromStart(dfa: RuleDfa, start: number): RuleDfa {
  const names = new Int32Array(dfa.states.length).fill(-1)
  const order = [start]
  names[start] = 0
  for (const state of order) {
    for (const target of targetsOf(dfa.states[state]!)) {
      if (names[target] !== -1) continue
      names[target] = order.length
      order.push(target)
    }
  }
  return { states: order.map((state) => renameTargets(dfa.states[state]!, names)) }
}

function statesThatEnd(dfa: RuleDfa): Uint8Array {
  const sources: number[][] = dfa.states.map(() => [])
  for (const [state, edges] of dfa.states.entries()) for (const target of targetsOf(edges)) sources[target]!.push(state)
  const ends = new Uint8Array(dfa.states.length)
  const open: number[] = []
  for (const [state, { accepts }] of dfa.states.entries()) {
    if (!accepts) continue
    ends[state] = 1
    open.push(state)
  }
  while (open.length > 0) {
    for (const source of sources[open.pop()!]!) {
      if (ends[source] === 1) continue
      ends[source] = 1
      open.push(source)
    }
  }
  return ends
}

/** The start stays in any case. */
function keepStates(dfa: RuleDfa, keep: Uint8Array): RuleDfa {
  const names = new Int32Array(dfa.states.length).fill(-1)
  let numKept = 0
  for (let state = 0; state < names.length; state++) if (keep[state] === 1 || state === 0) names[state] = numKept++
  if (numKept === names.length) return dfa
  const states = dfa.states.filter((_, state) => names[state] !== -1)
  return { states: states.map((state) => renameTargets(state, names)) }
}

interface Transitions {
  readonly tails: readonly number[]
  readonly heads: readonly number[]
  /** Equal for equal symbols. */
  readonly labels: readonly number[]
}

/** By state: its class. */
function equivalentStates(dfa: RuleDfa): Int32Array {
  const { tails, heads, labels } = listTransitions(dfa)
  const numStates = dfa.states.length
  const blocks = new RefinablePartition(numStates)
  for (let state = 0; state < numStates; state++) if (dfa.states[state]!.accepts) blocks.mark(state)
  blocks.split()

  const cords = RefinablePartition.byLabel(labels)
  const incoming = groupByHead(heads, numStates)
  let block = 1
  for (let cord = 0; cord < cords.numSets; cord++) {
    for (const transition of cords.members(cord)) blocks.mark(tails[transition]!)
    blocks.split()
    for (; block < blocks.numSets; block++) {
      for (const state of blocks.members(block)) {
        for (let i = incoming.starts[state]!; i < incoming.starts[state + 1]!; i++) cords.mark(incoming.transitions[i]!)
      }
      cords.split()
    }
  }
  return blocks.setOf
}

/** Byte ranges are cut wherever a range of any state begins or ends: label = first byte of the piece. */
function listTransitions(dfa: RuleDfa): Transitions {
  const cuts = new Uint8Array(257)
  for (const { bytes } of dfa.states) {
    for (let i = 0; i < bytes.length; i += 3) cuts[bytes[i]!] = cuts[bytes[i + 1]! + 1] = 1
  }
  const labelOf = new Map<string, number>()
  const tails: number[] = []
  const heads: number[] = []
  const labels: number[] = []
  const add = (tail: number, head: number, label: number): void => {
    tails.push(tail)
    heads.push(head)
    labels.push(label)
  }
  const labelFor = (symbol: string): number => {
    const label = labelOf.get(symbol) ?? 256 + labelOf.size
    labelOf.set(symbol, label)
    return label
  }
  for (const [state, { bytes, calls, tokens }] of dfa.states.entries()) {
    for (let i = 0; i < bytes.length; i += 3) {
      for (let byte = bytes[i]!; byte <= bytes[i + 1]!; byte++) if (cuts[byte] === 1) add(state, bytes[i + 2]!, byte)
    }
    for (let i = 0; i < calls.length; i += 2) add(state, calls[i + 1]!, labelFor(`call ${calls[i]!}`))
    for (let i = 0; i < tokens.length; i += 2) add(state, tokens[i + 1]!, labelFor(`token ${tokens[i]!}`))
  }
  return { tails, heads, labels }
}

function groupByHead(heads: readonly number[], numStates: number): { readonly starts: Int32Array; readonly transitions: Int32Array } {
  const starts = new Int32Array(numStates + 1)
  for (const head of heads) starts[head + 1]! += 1
  for (let state = 0; state < numStates; state++) starts[state + 1]! += starts[state]!
  const next = starts.slice()
  const transitions = new Int32Array(heads.length)
  for (const [transition, head] of heads.entries()) transitions[next[head]!++] = transition
  return { starts, transitions }
}
