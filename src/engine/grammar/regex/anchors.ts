/**
 * `^` and `$` anywhere in a pattern, exactly. While an automaton is put together, each is read like a code point of its own (two surrogates,
 * which no text has). `resolveAnchors` then asks of every such edge whether the text can begin or end there.
 */
import { ANY_CHAR, type CharAutomaton, type CharEdge } from '#engine/grammar/char-automaton'
import type { CharBudget } from '#engine/grammar/char-algebra-budget'
import { determinize, EmptyStepAutomaton } from '#engine/grammar/char-algebra-determinize'
import { intersectRanges } from '#engine/grammar/char-ranges'

const START_MARK = 0xd800
const END_MARK = 0xd801

export const TEXT_START: CharAutomaton = oneMark(START_MARK)
export const TEXT_END: CharAutomaton = oneMark(END_MARK)

function oneMark(mark: number): CharAutomaton {
  return { edges: [[{ first: mark, last: mark, target: 1 }], []], accepting: [false, true] }
}

/** Where a text can stand: nothing read yet, something read, and the same two where nothing more may be read. */
const PLACES = [
  { reads: true, isStart: true, afterChar: 1, afterEndMark: 2 },
  { reads: true, isStart: false, afterChar: 1, afterEndMark: 3 },
  { reads: false, isStart: true, afterChar: 1, afterEndMark: 2 },
  { reads: false, isStart: false, afterChar: 1, afterEndMark: 3 },
] as const

/** The texts that `automaton` reads when marks take no character and only stand where they may. */
export function resolveAnchors(automaton: CharAutomaton, budget: CharBudget): CharAutomaton {
  if (!automaton.edges.some((edges) => edges.some(isMark))) return automaton
  const numStates = automaton.edges.length
  const resolved = new EmptyStepAutomaton(budget)
  const base = 1
  for (const place of PLACES) {
    const edges = automaton.edges.map((out) => (place.reads ? charEdges(out, base + place.afterChar * numStates) : []))
    resolved.addStates(edges)
  }
  resolved.link(0, base)
  PLACES.forEach((place, index) => {
    automaton.edges.forEach((out, state) => {
      const from = base + index * numStates + state
      if (automaton.accepting[state]!) resolved.accept([from])
      for (const edge of out) {
        if (hasMark(edge, START_MARK) && place.isStart) resolved.link(from, base + index * numStates + edge.target)
        if (hasMark(edge, END_MARK)) resolved.link(from, base + place.afterEndMark * numStates + edge.target)
      }
    })
  })
  return determinize(resolved, budget)
}

function isMark(edge: CharEdge): boolean {
  return hasMark(edge, START_MARK) || hasMark(edge, END_MARK)
}

function hasMark(edge: CharEdge, mark: number): boolean {
  return edge.first <= mark && mark <= edge.last
}

/** The edges without their marks (an edge may hold both beside true code points), targets moved by `offset`. */
function charEdges(edges: readonly CharEdge[], offset: number): CharEdge[] {
  return edges.flatMap((edge) => {
    const ranges = intersectRanges([edge.first, edge.last], ANY_CHAR)
    return Array.from({ length: ranges.length / 2 }, (_, i) => ({ first: ranges[2 * i]!, last: ranges[2 * i + 1]!, target: edge.target + offset }))
  })
}
