import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { ANY_CHAR } from './char-automaton.ts'
import { hasChar, intersectRanges, negateRanges, rangesOf, uniteRanges } from './char-ranges.ts'

test('set operations on ranges agree with sets of code points', () => {
  const random = new SeededRandom(3)
  const pairs = (): number[] =>
    Array.from({ length: random.nextInt(6) }, () => random.nextInt(40)).flatMap((first) => [first, first + random.nextInt(5) - 1])
  const members = (ranges: readonly number[]): number[] => Array.from({ length: 50 }, (_, char) => char).filter((char) => hasChar(ranges, char))
  for (let round = 0; round < 500; round++) {
    const [p, q] = [pairs(), pairs()]
    const [a, b] = [rangesOf(p), rangesOf(q)]
    const isIn = (list: readonly number[], char: number): boolean => list.some((first, i) => i % 2 === 0 && first <= char && char <= list[i + 1]!)
    const all = Array.from({ length: 50 }, (_, char) => char)
    expect(members(a)).toEqual(all.filter((char) => isIn(p, char)))
    expect(members(uniteRanges(a, b))).toEqual(all.filter((char) => isIn(p, char) || isIn(q, char)))
    expect(members(intersectRanges(a, b))).toEqual(all.filter((char) => isIn(p, char) && isIn(q, char)))
    expect(members(negateRanges(a))).toEqual(all.filter((char) => !isIn(p, char)))
    expect(negateRanges(negateRanges(a))).toEqual(a)
    for (let i = 2; i < a.length; i += 2) expect(a[i]!).toBeGreaterThan(a[i - 1]! + 1)
  }
})

test('no set holds a surrogate', () => {
  expect(rangesOf([0xd700, 0xe100])).toEqual([0xd700, 0xd7ff, 0xe000, 0xe100])
  expect(rangesOf([0xd800, 0xdfff])).toEqual([])
  expect(negateRanges([])).toEqual(ANY_CHAR)
  expect(negateRanges(ANY_CHAR)).toEqual([])
})
