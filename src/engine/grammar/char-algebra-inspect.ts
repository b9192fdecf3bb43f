/** Questions about a CharAutomaton. */
import type { CharAutomaton } from './char-automaton.ts'

export function isEmpty(automaton: CharAutomaton): boolean {
  return !automaton.accepting[0]! && automaton.edges[0]!.length === 0
}

export function matchesText(automaton: CharAutomaton, text: string): boolean {
  let state = 0
  for (const char of text) {
    const next = step(automaton, state, char.codePointAt(0)!)
    if (next === null) return false
    state = next
  }
  return automaton.accepting[state]!
}

/** The target of `state` for a code point, or null. */
export function step(automaton: CharAutomaton, state: number, codePoint: number): number | null {
  const edges = automaton.edges[state]!
  let [low, high] = [0, edges.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (edges[middle]!.last < codePoint) low = middle + 1
    else high = middle
  }
  const edge = edges[low]
  return edge !== undefined && edge.first <= codePoint ? edge.target : null
}

/** Whether the language has a finite number of texts. */
export function isFinite(automaton: CharAutomaton): boolean {
  const numEntries = new Int32Array(automaton.edges.length)
  for (const edges of automaton.edges) for (const edge of edges) numEntries[edge.target]!++
  if (numEntries[0]! > 0) return false
  const done = [0]
  for (const state of done) for (const edge of automaton.edges[state]!) if (--numEntries[edge.target]! === 0) done.push(edge.target)
  return done.length === automaton.edges.length
}

/** A shortest text, of the first code points in order; null when the language is empty. */
export function shortestText(automaton: CharAutomaton): string | null {
  const from: { readonly state: number; readonly codePoint: number }[] = []
  const queue = [0]
  for (const state of queue) {
    if (automaton.accepting[state]!) return spell(from, state)
    for (const edge of automaton.edges[state]!) {
      if (edge.target === 0 || from[edge.target] !== undefined) continue
      from[edge.target] = { state, codePoint: edge.first }
      queue.push(edge.target)
    }
  }
  return null
}

function spell(from: readonly { readonly state: number; readonly codePoint: number }[], end: number): string {
  const chars: string[] = []
  for (let state = end; state !== 0; state = from[state]!.state) chars.push(String.fromCodePoint(from[state]!.codePoint))
  return chars.reverse().join('')
}

/** Whether both have the same texts: the tables of equal languages are equal. */
export function equals(a: CharAutomaton, b: CharAutomaton): boolean {
  if (a.edges.length !== b.edges.length) return false
  return a.edges.every((edges, state) => {
    const others = b.edges[state]!
    if (a.accepting[state] !== b.accepting[state] || edges.length !== others.length) return false
    return edges.every((edge, i) => edge.first === others[i]!.first && edge.last === others[i]!.last && edge.target === others[i]!.target)
  })
}
