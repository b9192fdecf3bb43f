/**
 * The algebra of regular languages over code points. Every result is deterministic, trimmed, minimal and numbered breadth first, so that
 * equal languages are equal tables. What can grow takes a CharBudget and throws InferdError('invalid_parameter') when it is passed.
 *
 *   NO_TEXT, ONLY_EMPTY_TEXT, ANY_TEXT                                 {}, {''}, ANY_CHAR*
 *   char-algebra-texts.ts: fromTexts(texts, budget)                   a finite set of texts
 *   fromChars(ranges)                                                  one code point of a set
 *   concatenate(parts, budget)       unite(parts, budget)              any number of parts
 *   intersect(a, b, budget)          subtract(a, b, budget)            complement(a), against ANY_CHAR*
 *   repeatAutomaton(a, {min, max}, budget)                             max null: any number
 *   lengthBetween({min, max}, budget)                                  counted in code points
 *   textThrough(marker, budget)      textWithout(marker, budget)
 *   char-algebra-inspect.ts: isEmpty, isFinite, matchesText, shortestText, equals
 *   char-algebra-budget.ts: CharBudget(limits, place)                  char-ranges.ts: rangesOf, uniteRanges, intersectRanges, negateRanges
 */
import { classify } from './char-algebra-alphabet.ts'
import type { CharBudget } from './char-algebra-budget.ts'
import { determinize, EmptyStepAutomaton } from './char-algebra-determinize.ts'
import { isEmpty } from './char-algebra-inspect.ts'
import { mergeEdges, minimize, NO_TEXT, renumber } from './char-algebra-minimize.ts'
import { ANY_CHAR, type CharAutomaton, type CharEdge, type CharRanges } from './char-automaton.ts'
import { intersectRanges, negateRanges } from './char-ranges.ts'

/** The language of the empty text alone. */
export const ONLY_EMPTY_TEXT: CharAutomaton = { edges: [[]], accepting: [true] }
export const ANY_TEXT: CharAutomaton = { edges: [edgesTo(ANY_CHAR, 0)], accepting: [true] }

/** One code point of `ranges`. */
export function fromChars(ranges: CharRanges): CharAutomaton {
  const allowed = intersectRanges(ranges, ANY_CHAR)
  return allowed.length === 0 ? NO_TEXT : { edges: [edgesTo(allowed, 1), []], accepting: [false, true] }
}

export function concatenate(parts: readonly CharAutomaton[], budget: CharBudget): CharAutomaton {
  const proper = parts.filter((part) => part !== ONLY_EMPTY_TEXT)
  if (proper.length === 0) return ONLY_EMPTY_TEXT
  if (proper.length === 1) return proper[0]!
  const joined = new EmptyStepAutomaton(budget)
  let ends: readonly number[] = [0]
  for (const part of proper) {
    const copy = joined.append(part)
    for (const end of ends) joined.link(end, copy.start)
    ends = copy.ends
  }
  joined.accept(ends)
  return determinize(joined, budget)
}

export function unite(parts: readonly CharAutomaton[], budget: CharBudget): CharAutomaton {
  if (parts.length === 0) return NO_TEXT
  if (parts.length === 1) return parts[0]!
  const joined = new EmptyStepAutomaton(budget)
  for (const part of parts) {
    const copy = joined.append(part)
    joined.link(0, copy.start)
    joined.accept(copy.ends)
  }
  return determinize(joined, budget)
}

/** `body`, min to max times; max null = any number. min <= max. */
export function repeatAutomaton(
  body: CharAutomaton,
  times: { readonly min: number; readonly max: number | null },
  budget: CharBudget,
): CharAutomaton {
  // A body that may be empty takes any smaller number of turns too; its turns then never need to be empty.
  const min = body.accepting[0]! ? 0 : times.min
  const { max } = times
  if (max === 0) return ONLY_EMPTY_TEXT
  if (body.edges[0]!.length === 0) return min === 0 ? ONLY_EMPTY_TEXT : NO_TEXT
  if (min === 1 && max === 1) return body
  const numCopies = max ?? Math.max(min, 1)
  budget.checkStates(numCopies * (body.edges.length - 1))
  // Then no end of a turn is its start, and turns that read nothing can be left out.
  const startsOnlyOnce = body.edges.every((edges) => edges.every((edge) => edge.target !== 0))
  const joined = new EmptyStepAutomaton(budget)
  if (min === 0) joined.accept([0])
  let ends: readonly number[] = [0]
  for (let copyIndex = 1; copyIndex <= numCopies; copyIndex++) {
    const copy = joined.append(body)
    for (const end of ends) joined.link(end, copy.start)
    ends = startsOnlyOnce ? copy.ends.filter((end) => end !== copy.start) : copy.ends
    if (copyIndex >= min) joined.accept(ends)
    if (max === null && copyIndex === numCopies) for (const end of ends) joined.link(end, copy.start)
  }
  return determinize(joined, budget)
}

export function intersect(a: CharAutomaton, b: CharAutomaton, budget: CharBudget): CharAutomaton {
  return product(a, b, 'both', budget)
}

/** The texts of `a` that are not in `b`. */
export function subtract(a: CharAutomaton, b: CharAutomaton, budget: CharBudget): CharAutomaton {
  return product(a, b, 'first-only', budget)
}

/** The texts that are not in `a`. Costs no more than reading it: the complement of a minimal automaton is minimal. */
export function complement(a: CharAutomaton): CharAutomaton {
  if (isEmpty(a)) return ANY_TEXT
  const sink = a.edges.length
  // The state that took every text (a minimal automaton has one at most) would now take none.
  const useless = a.edges.findIndex((out, state) => a.accepting[state]! && out.every((edge) => edge.target === state) && coversAll(out))
  if (useless === 0) return NO_TEXT
  const edges = a.edges.map((out) => mergeEdges([...out.filter((edge) => edge.target !== useless), ...edgesTo(negateRanges(rangesOn(out)), sink)]))
  edges.push(edgesTo(ANY_CHAR, sink))
  return renumber({ edges, accepting: [...a.accepting.map((accepts) => !accepts), true] }, 0)
}

/** Texts of min to max code points; max null = no upper end. */
export function lengthBetween(length: { readonly min: number; readonly max: number | null }, budget: CharBudget): CharAutomaton {
  if (length.max !== null && length.max < length.min) return NO_TEXT
  const last = length.max ?? length.min
  budget.checkStates(last + 1)
  budget.spend(last)
  const edges = Array.from({ length: last + 1 }, (_, state) => edgesTo(ANY_CHAR, Math.min(state + 1, last)))
  if (length.max !== null) edges[last] = []
  return { edges, accepting: edges.map((_, state) => state >= length.min) }
}

/** Texts that end with the first occurrence of `marker` in them. '' is itself the only one. */
export function textThrough(marker: string, budget: CharBudget): CharAutomaton {
  if (!marker.isWellFormed()) return NO_TEXT
  const edges = markerSearch(marker, budget)
  return renumber({ edges: [...edges, []], accepting: [...edges.map(() => false), true] }, 0)
}

/** Texts without `marker` in them. */
export function textWithout(marker: string, budget: CharBudget): CharAutomaton {
  if (!marker.isWellFormed()) return ANY_TEXT
  const edges = markerSearch(marker, budget)
  if (edges.length === 0) return NO_TEXT
  return renumber({ edges: edges.map((out) => out.filter((edge) => edge.target < edges.length)), accepting: edges.map(() => true) }, 0)
}

/**
 * Knuth, Morris and Pratt's automaton: state i has read i code points of the marker; the last target, the marker's length, is not listed.
 * All edges that do not lead to state 0 are at most twice the marker's length.
 */
function markerSearch(marker: string, budget: CharBudget): CharEdge[][] {
  const codePoints = Array.from(marker, (char) => char.codePointAt(0)!)
  budget.checkStates(codePoints.length + 1)
  const nexts: Map<number, number>[] = []
  // The state that the longest true border of the text so far leads to.
  let border = 0
  codePoints.forEach((codePoint, state) => {
    const next = new Map(state === 0 ? [] : nexts[border])
    if (state > 0) border = next.get(codePoint) ?? 0
    next.set(codePoint, state + 1)
    nexts.push(next)
  })
  return nexts.map((next) => {
    budget.spend(next.size + 1)
    const named = [...next].map(([codePoint, target]): CharEdge => ({ first: codePoint, last: codePoint, target })).sort((a, b) => a.first - b.first)
    return mergeEdges([...named, ...edgesTo(negateRanges(rangesOn(named)), 0)])
  })
}

/** Pairs of states; null = the second has no edge there. */
function product(a: CharAutomaton, b: CharAutomaton, mode: 'both' | 'first-only', budget: CharBudget): CharAutomaton {
  budget.startConstruction()
  const { alphabet, moves } = classify([...a.edges, ...b.edges], budget)
  const offset = a.edges.length
  const pairs: { readonly first: number; readonly second: number | null }[] = []
  const ids = new Map<number, number>()
  const idOf = (first: number, second: number | null): number => {
    const key = first * (b.edges.length + 1) + (second === null ? b.edges.length : second)
    const known = ids.get(key)
    if (known !== undefined) return known
    ids.set(key, pairs.length)
    budget.checkStates(pairs.length + 1)
    return pairs.push({ first, second }) - 1
  }
  idOf(0, 0)
  const pairMoves: number[][] = []
  const targetOf = new Map<number, number>()
  for (const { first, second } of pairs) {
    const flat: number[] = []
    targetOf.clear()
    const others = second === null ? [] : moves[offset + second]!
    for (let i = 0; i < others.length; i += 2) targetOf.set(others[i]!, others[i + 1]!)
    const own = moves[first]!
    budget.spend(1 + ((own.length + others.length) >> 1))
    for (let i = 0; i < own.length; i += 2) {
      const target = targetOf.get(own[i]!) ?? null
      if (target !== null || mode === 'first-only') flat.push(own[i]!, idOf(own[i + 1]!, target))
    }
    pairMoves.push(flat)
  }
  const accepting = pairs.map(({ first, second }) => a.accepting[first]! && (second !== null && b.accepting[second]!) === (mode === 'both'))
  return minimize({ alphabet, accepting, moves: pairMoves }, budget)
}

function edgesTo(ranges: CharRanges, target: number): CharEdge[] {
  const edges: CharEdge[] = []
  for (let i = 0; i < ranges.length; i += 2) edges.push({ first: ranges[i]!, last: ranges[i + 1]!, target })
  return edges
}

function coversAll(edges: readonly CharEdge[]): boolean {
  return negateRanges(rangesOn(edges)).length === 0
}

/** What the ascending `edges` cover. */
function rangesOn(edges: readonly CharEdge[]): CharRanges {
  return edges.flatMap((edge) => [edge.first, edge.last])
}
