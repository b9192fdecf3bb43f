/**
 * Finite alphabets: code points that all edges of some automata treat alike form one class. A pattern of ten thousand edges over
 * \p{L} has two classes, so that subset construction and minimization work with few symbols.
 */
import type { CharBudget } from './char-algebra-budget.ts'
import type { CharEdge, CharRanges } from './char-automaton.ts'

export interface Alphabet {
  readonly numClasses: number
  /** By class: its code points. A code point on no edge is in no class. */
  readonly rangesOfClass: readonly CharRanges[]
}

export interface Classified {
  readonly alphabet: Alphabet
  /** By state: flat pairs of class and target; a class at most once. */
  readonly moves: readonly (readonly number[])[]
}

/** The coarsest alphabet for these edges, by state ascending and disjoint. */
export function classify(edgesByState: readonly (readonly CharEdge[])[], budget: CharBudget): Classified {
  const sets: CharRanges[] = []
  const setIds = new Map<string, number>()
  const groups = edgesByState.map((edges) => {
    budget.spend(edges.length + 1)
    return groupByTarget(edges, (ranges) => {
      const key = ranges.length === 2 ? `${ranges[0]},${ranges[1]}` : ranges.join(',')
      let id = setIds.get(key)
      if (id === undefined) {
        id = sets.length
        setIds.set(key, id)
        sets.push(ranges)
      }
      return id
    })
  })
  const { alphabet, classesOfSet } = refine(sets, budget)
  const moves = groups.map((pairs) => {
    const flat: number[] = []
    for (let i = 0; i < pairs.length; i += 2) for (const charClass of classesOfSet[pairs[i]!]!) flat.push(charClass, pairs[i + 1]!)
    budget.spend(flat.length >> 1)
    return flat
  })
  return { alphabet, moves }
}

/** Flat pairs of set id and target. */
function groupByTarget(edges: readonly CharEdge[], idOf: (ranges: CharRanges) => number): number[] {
  if (edges.length === 1) return [idOf([edges[0]!.first, edges[0]!.last]), edges[0]!.target]
  const byTarget = new Map<number, number[]>()
  for (const { first, last, target } of edges) {
    const ranges = byTarget.get(target)
    if (ranges === undefined) byTarget.set(target, [first, last])
    else ranges.push(first, last)
  }
  return [...byTarget].flatMap(([target, ranges]) => [idOf(ranges), target])
}

/** Partition refinement of the elementary intervals by every set. */
function refine(sets: readonly CharRanges[], budget: CharBudget): { alphabet: Alphabet; classesOfSet: number[][] } {
  const points = [...new Set(sets.flatMap((ranges) => ranges.map((point, i) => (i % 2 === 0 ? point : point + 1))))].sort((a, b) => a - b)
  const indexOf = new Map(points.map((point, index) => [point, index]))
  // Interval i is points[i] to points[i + 1] - 1. The last one is on no edge, and so is all of its class, 0.
  const classOf = new Int32Array(points.length)
  const sizes = [points.length]
  const intervalsOf = (ranges: CharRanges): number[] => {
    const intervals: number[] = []
    for (let i = 0; i < ranges.length; i += 2)
      for (let at = indexOf.get(ranges[i]!)!, end = indexOf.get(ranges[i + 1]! + 1)!; at < end; at++) intervals.push(at)
    budget.spend(intervals.length)
    return intervals
  }
  for (const ranges of sets) {
    const intervals = intervalsOf(ranges)
    const touched = new Map<number, number>()
    for (const interval of intervals) touched.set(classOf[interval]!, (touched.get(classOf[interval]!) ?? 0) + 1)
    const successor = new Map<number, number>()
    for (const [charClass, count] of touched) {
      if (count === sizes[charClass]) continue
      successor.set(charClass, sizes.length)
      sizes[charClass]! -= count
      sizes.push(count)
    }
    for (const interval of intervals) classOf[interval] = successor.get(classOf[interval]!) ?? classOf[interval]!
  }
  const rangesOfClass: number[][] = sizes.map(() => [])
  classOf.forEach((charClass, i) => {
    const ranges = rangesOfClass[charClass]!
    if (charClass === 0) return
    if (ranges.at(-1) === points[i]! - 1) ranges[ranges.length - 1] = points[i + 1]! - 1
    else ranges.push(points[i]!, points[i + 1]! - 1)
  })
  const classesOfSet = sets.map((ranges) => [...new Set(intervalsOf(ranges).map((interval) => classOf[interval]!))])
  return { alphabet: { numClasses: sizes.length, rangesOfClass }, classesOfSet }
}
