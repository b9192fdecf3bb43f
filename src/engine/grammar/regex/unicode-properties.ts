/** `\p{...}` by JavaScript's own tables: each property is asked once about every code point, then remembered. */
import type { CharRanges } from '#engine/grammar/char-automaton'
import { rangesOf } from '#engine/grammar/char-ranges'

/** Properties remembered; a few kilobytes each. The one asked for least recently goes. */
const MAX_REMEMBERED = 64
const CHUNK_CHARS = 0x1000

const remembered = new Map<string, CharRanges>()

/** The code points with a property: `L`, `Lu`, `Script=Greek`, `Alphabetic`. Null: there is no such property. Some milliseconds when new. */
export function charsWithProperty(property: string): CharRanges | null {
  const known = remembered.get(property)
  const ranges = known ?? readProperty(property)
  if (ranges === null) return null
  remembered.delete(property)
  remembered.set(property, ranges)
  if (remembered.size > MAX_REMEMBERED) remembered.delete(remembered.keys().next().value!)
  return ranges
}

function readProperty(property: string): CharRanges | null {
  if (!/^[A-Za-z0-9_]{1,48}(?:=[A-Za-z0-9_]{1,48})?$/.test(property)) return null
  const runs = runsOf(property)
  if (runs === null) return null
  const pairs: number[] = []
  for (let first = 0; first <= 0x10ffff; first += CHUNK_CHARS) {
    if (first >= 0xd800 && first < 0xe000) continue
    const unitsPerChar = first < 0x10000 ? 1 : 2
    for (const run of chunkText(first).matchAll(runs)) {
      const start = first + run.index / unitsPerChar
      pairs.push(start, start + run[0].length / unitsPerChar - 1)
    }
  }
  return rangesOf(pairs)
}

function runsOf(property: string): RegExp | null {
  try {
    return new RegExp(`\\p{${property}}+`, 'gu')
  } catch {
    return null
  }
}

/** All code points of a chunk, in order; the chunk of the surrogates' neighbours ends before them. */
function chunkText(first: number): string {
  const end = first < 0xd800 ? Math.min(first + CHUNK_CHARS, 0xd800) : first + CHUNK_CHARS
  return String.fromCodePoint(...Array.from({ length: end - first }, (_, i) => first + i))
}
