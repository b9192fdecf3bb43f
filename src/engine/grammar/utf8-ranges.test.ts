import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { utf8Paths, type Utf8Path } from './utf8-ranges.ts'

const encoder = new TextEncoder()

function isSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdfff
}

function numSpelled(paths: readonly Utf8Path[]): number {
  return paths.reduce((sum, path) => sum + path.reduce((product, byte, i) => (i % 2 === 0 ? product : product * (byte - path[i - 1]! + 1)), 1), 0)
}

function isSpelled(paths: readonly Utf8Path[], code: number): boolean {
  const bytes = encoder.encode(String.fromCodePoint(code))
  return paths.some((path) => path.length === 2 * bytes.length && bytes.every((byte, i) => path[2 * i]! <= byte && byte <= path[2 * i + 1]!))
}

test('the byte ranges of all code points spell each of them and nothing else', () => {
  const paths = utf8Paths(0, 0x10ffff)
  let numCodes = 0
  for (let code = 0; code <= 0x10ffff; code++) {
    if (isSurrogate(code)) continue
    numCodes += 1
    if (!isSpelled(paths, code)) expect.fail(`U+${code.toString(16)} is not spelled`)
  }
  expect(numSpelled(paths)).toBe(numCodes)
  expect(paths.length).toBeLessThan(12)
})

test('the byte ranges of any two ends spell exactly the code points between them', () => {
  const random = new SeededRandom(5)
  const edges = [0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdfff, 0xe000, 0xffff, 0x10000, 0x10ffff]
  for (let round = 0; round < 20_000; round++) {
    const near = edges[random.nextInt(edges.length)]! + random.nextInt(131) - 65
    const first = Math.min(0x10ffff, Math.max(0, random.nextInt(2) === 0 ? near : random.nextInt(0x110000)))
    const last = Math.min(0x10ffff, first + random.nextInt([1, 64, 5_000, 0x110000][random.nextInt(4)]!))
    const paths = utf8Paths(first, last)
    const numSurrogates = Math.max(0, Math.min(last, 0xdfff) - Math.max(first, 0xd800) + 1)
    expect(numSpelled(paths), `${first} to ${last}`).toBe(last - first + 1 - numSurrogates)
    for (const code of [first, last, first + random.nextInt(last - first + 1)]) {
      if (!isSurrogate(code)) expect(isSpelled(paths, code), `${first} to ${last}: ${code}`).toBe(true)
    }
    if (first > 0 && !isSurrogate(first - 1)) expect(isSpelled(paths, first - 1)).toBe(false)
  }
})
