/** Set operations on CharRanges. All results keep its invariants and hold no surrogate. */
import { ANY_CHAR, type CharRanges, MAX_CODE_POINT } from './char-automaton.ts'

/** Pairs of first and last in any order, overlapping or not; pairs with first > last are empty. Surrogates fall out. */
export function rangesOf(pairs: readonly number[]): CharRanges {
  const sorted: [number, number][] = []
  for (let i = 0; i < pairs.length; i += 2) if (pairs[i]! <= pairs[i + 1]!) sorted.push([pairs[i]!, Math.min(pairs[i + 1]!, MAX_CODE_POINT)])
  sorted.sort((a, b) => a[0] - b[0])
  const merged: number[] = []
  for (const [first, last] of sorted) {
    const end = merged.length - 1
    if (end >= 0 && first <= merged[end]! + 1) merged[end] = Math.max(merged[end]!, last)
    else merged.push(first, last)
  }
  return intersectRanges(merged, ANY_CHAR)
}

export function uniteRanges(...sets: readonly CharRanges[]): CharRanges {
  return rangesOf(sets.flat())
}

/** Both ascending and disjoint. */
export function intersectRanges(a: CharRanges, b: CharRanges): CharRanges {
  const both: number[] = []
  let [i, j] = [0, 0]
  while (i < a.length && j < b.length) {
    const first = Math.max(a[i]!, b[j]!)
    const last = Math.min(a[i + 1]!, b[j + 1]!)
    if (first <= last) both.push(first, last)
    if (a[i + 1]! < b[j + 1]!) i += 2
    else j += 2
  }
  return both
}

/** The code points of ANY_CHAR that are not in `ranges`. */
export function negateRanges(ranges: CharRanges): CharRanges {
  const gaps: number[] = []
  let next = 0
  for (let i = 0; i < ranges.length; i += 2) {
    if (ranges[i]! > next) gaps.push(next, ranges[i]! - 1)
    next = ranges[i + 1]! + 1
  }
  if (next <= MAX_CODE_POINT) gaps.push(next, MAX_CODE_POINT)
  return intersectRanges(gaps, ANY_CHAR)
}

export function hasChar(ranges: CharRanges, codePoint: number): boolean {
  let [low, high] = [0, ranges.length >> 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (ranges[2 * middle + 1]! < codePoint) low = middle + 1
    else high = middle
  }
  return 2 * low < ranges.length && ranges[2 * low]! <= codePoint
}
