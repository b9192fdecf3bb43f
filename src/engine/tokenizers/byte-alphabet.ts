/**
 * The 256 printable characters by which byte-level vocabularies write bytes (GPT-2, 2019): printable Latin-1 stands for itself, the
 * others are shifted to U+0100 and up, in order.
 */
import { assert } from '#base/assert'

const characters: string[] = []
const bytes = new Map<string, number>()

let numShifted = 0
for (let byte = 0; byte < 256; byte += 1) {
  const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
  const character = String.fromCharCode(printable ? byte : 0x100 + numShifted)
  if (!printable) numShifted += 1
  characters.push(character)
  bytes.set(character, byte)
}

export function byteCharacter(byte: number): string {
  const character = characters[byte]
  assert(character !== undefined, 'byte out of range')
  return character
}

/** Bytes of a byte-level token; null when a character is not of the alphabet. */
export function bytesOfAlphabetText(text: string): Uint8Array | null {
  const result = new Uint8Array(text.length)
  for (let index = 0; index < text.length; index += 1) {
    const byte = bytes.get(text[index]!)
    if (byte === undefined) return null
    result[index] = byte
  }
  return result
}

/** The text by which a byte-level vocabulary writes these bytes. */
export function alphabetText(source: Uint8Array): string {
  let text = ''
  for (const byte of source) text += byteCharacter(byte)
  return text
}

/** Hot: per word. Writes the UTF-8 bytes of well-formed text[start, end) to `out` from index 0; `out` holds 3 per unit. Returns their number. */
export function writeUtf8(text: string, start: number, end: number, out: Int32Array): number {
  let count = 0
  for (let index = start; index < end; index += 1) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) {
      out[count++] = unit
    } else if (unit < 0x800) {
      out[count++] = 0xc0 | (unit >> 6)
      out[count++] = 0x80 | (unit & 63)
    } else if ((unit & 0xfc00) === 0xd800 && index + 1 < end) {
      index += 1
      const codePoint = 0x10000 + ((unit & 0x3ff) << 10) + (text.charCodeAt(index) & 0x3ff)
      out[count++] = 0xf0 | (codePoint >> 18)
      out[count++] = 0x80 | ((codePoint >> 12) & 63)
      out[count++] = 0x80 | ((codePoint >> 6) & 63)
      out[count++] = 0x80 | (codePoint & 63)
    } else {
      out[count++] = 0xe0 | (unit >> 12)
      out[count++] = 0x80 | ((unit >> 6) & 63)
      out[count++] = 0x80 | (unit & 63)
    }
  }
  return count
}
