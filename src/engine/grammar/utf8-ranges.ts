/** Code-point ranges as ranges of UTF-8 bytes. Surrogates have no UTF-8 and are left out. */

/** One byte range for each byte of the encoding: flat pairs of first and last byte, one to four of them. */
export type Utf8Path = readonly number[]

/** First code points of what spells in one more byte; the surrogates split the third group. */
const SEGMENTS = [
  [0x0, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xd7ff],
  [0xe000, 0xffff],
  [0x10000, 0x10ffff],
] as const

/** Disjoint paths that together spell exactly the code points first to last; ascending. */
export function utf8Paths(first: number, last: number): Utf8Path[] {
  const paths: Utf8Path[] = []
  for (const [low, high] of SEGMENTS) {
    if (first <= high && last >= low) splitSegment(Math.max(first, low), Math.min(last, high), paths)
  }
  return paths
}

/** Both ends spell in equally many bytes. Cuts until each byte but the last fixed one runs over its whole range. */
function splitSegment(first: number, last: number, paths: Utf8Path[]): void {
  if (last < 0x80) {
    paths.push([first, last])
    return
  }
  let low = first
  while (low <= last) {
    let high = last
    // The widest aligned block of 64^k code points that begins at `low` and ends by `last`, or the run of such blocks.
    for (const bits of [6, 12, 18]) {
      const mask = (1 << bits) - 1
      if (low >> bits === high >> bits) break
      if ((low & mask) !== 0) high = low | mask
      else if ((high & mask) !== mask) high = (high & ~mask) - 1
    }
    paths.push(pathBetween(low, high))
    low = high + 1
  }
}

function pathBetween(low: number, high: number): Utf8Path {
  const from = spell(low)
  const to = spell(high)
  return from.flatMap((byte, index) => [byte, to[index]!])
}

function spell(code: number): number[] {
  if (code < 0x80) return [code]
  if (code < 0x800) return [0xc0 | (code >> 6), 0x80 | (code & 63)]
  if (code < 0x10000) return [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)]
  return [0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)]
}
