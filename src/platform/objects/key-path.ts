/**
 * Where in a folder an object lies: `reports/day.csv` is the file `day.csv` in the folder `reports`. The mapping is injective: names that a
 * file system could not tell apart or would not take are written differently.
 *
 *   part of the key             name on the disk
 *   `%`, `\`                    `%25`, `%5C`
 *   empty, as in `a//b` or `a/` `%`
 *   `.`, `..`, `.inferd`        `%2E`, `%2E.`, `%2Einferd`
 *   longer than 240 bytes       folders that end in `%+`, and the rest in them
 *
 * Capital letters stand for themselves: on a file system that folds case, two keys that differ in nothing else are one file.
 */
import { isKey } from './object-key.ts'

/** Ours, at the top of every folder of a bucket. */
export const OWN_FOLDER = '.inferd'

/** File systems take 255. */
const MAX_PIECE_BYTES = 240
const GOES_ON = '%+'
const ODD_NAMES: readonly string[] = ['.', '..', OWN_FOLDER]
/** Stands for itself: visible ASCII without `%` and `\`. Most names are, and folders are long. */
const PLAIN_NAME = /^[ -$&-[\]-~]{1,240}$/
const ESCAPES: Readonly<Record<string, string>> = { '%': '%25', '\\': '%5C' }
const UNESCAPES: Readonly<Record<string, string>> = { '%25': '%', '%5C': '\\', '%2E': '.' }

/** Names from the bucket's folder down; the last one is the file. */
export function namesOfKey(key: string): readonly string[] {
  return key.split('/').flatMap(namesOfPart)
}

/** The part of a key that these names stand for; null = they stand for none. All but the last end in `%+`. */
export function partOfNames(names: readonly string[]): string | null {
  if (names.length === 1 && PLAIN_NAME.test(names[0]!) && !ODD_NAMES.includes(names[0]!)) return names[0]!
  const text = names.map((name, index) => (index < names.length - 1 ? name.slice(0, -GOES_ON.length) : name)).join('')
  const part = text === '%' ? '' : text.replace(/%[0-9A-Z]{2}/g, (escape) => UNESCAPES[escape] ?? escape)
  const isOurs = namesOfPart(part).join('/') === names.join('/')
  return isOurs && (part === '' || isKey(part)) ? part : null
}

export function goesOn(name: string): boolean {
  return name.endsWith(GOES_ON)
}

function namesOfPart(part: string): readonly string[] {
  if (part === '') return ['%']
  const safe = part.replace(/[%\\]/g, (character) => ESCAPES[character]!)
  const pieces = Buffer.byteLength(safe) <= MAX_PIECE_BYTES ? [safe] : cut(safe)
  // Also what is left of a long part may be `..`.
  return pieces.map((piece) => (ODD_NAMES.includes(piece) ? `%2E${piece.slice(1)}` : piece))
}

/** Neither a character nor an escape is cut. */
function cut(text: string): readonly string[] {
  const pieces: string[] = []
  let piece = ''
  let numBytes = 0
  for (const [unit] of text.matchAll(/%[0-9A-Z]{2}|./gsu)) {
    const unitBytes = Buffer.byteLength(unit)
    if (numBytes + unitBytes > MAX_PIECE_BYTES) {
      pieces.push(piece + GOES_ON)
      piece = ''
      numBytes = 0
    }
    piece += unit
    numBytes += unitBytes
  }
  return [...pieces, piece]
}
