/**
 * Unicode classes of code points, by table: letter, number, mark, white space, punctuation. Pages of 256 code points are filled on first
 * touch from the runtime's own Unicode data, so that no table is kept in the source.
 */
export const LETTER = 1
export const NUMBER = 2
export const MARK = 4
/** Property White_Space (what `\s` means to the tokenizers of the field; U+0085 is in, U+FEFF is not). */
export const SPACE = 8
/** Carriage return and line feed; both are SPACE too. */
export const NEWLINE = 16
/** BERT's punctuation: category P, and every ASCII symbol. */
export const PUNCTUATION = 32
/** What a regex calls `\w`: letters, marks, decimal numbers, connectors. */
export const WORD = 64
/** CJK ideographs, which BERT splits one by one. */
export const IDEOGRAPH = 128
/** Upper and title case letters. */
export const UPPER = 256
/** Lower case letters. Letters that are neither have no case. */
export const LOWER = 512

const pages: (Uint16Array | undefined)[] = Array.from({ length: 0x1100 })

/** Hot: per character. The class bits of a code point. */
export function classOf(codePoint: number): number {
  const page = pages[codePoint >>> 8]
  return page === undefined ? fillPage(codePoint >>> 8)[codePoint & 255]! : page[codePoint & 255]!
}

/** Hot: per character. Reads one code point of well-formed UTF-16; surrogate pairs are two units wide. */
export function codePointAt(text: string, index: number, end: number): number {
  const unit = text.charCodeAt(index)
  if ((unit & 0xfc00) !== 0xd800 || index + 1 >= end) return unit
  const low = text.charCodeAt(index + 1)
  return (low & 0xfc00) === 0xdc00 ? (unit - 0xd800) * 1024 + (low - 0xdc00) + 0x10000 : unit
}

export function widthOf(codePoint: number): number {
  return codePoint > 0xffff ? 2 : 1
}

function fillPage(pageIndex: number): Uint16Array {
  const page = new Uint16Array(256)
  for (let offset = 0; offset < 256; offset += 1) page[offset] = computeClass(pageIndex * 256 + offset)
  pages[pageIndex] = page
  return page
}

function computeClass(codePoint: number): number {
  if (codePoint >= 0xd800 && codePoint <= 0xdfff) return 0
  const text = String.fromCodePoint(codePoint)
  let bits = 0
  if (/\p{L}/u.test(text)) bits |= LETTER
  if (/\p{N}/u.test(text)) bits |= NUMBER
  if (/\p{M}/u.test(text)) bits |= MARK
  if (/\p{White_Space}/u.test(text)) bits |= SPACE
  if (codePoint === 10 || codePoint === 13) bits |= NEWLINE
  if (/\p{P}/u.test(text) || /[!-/:-@[-`{-~]/.test(text)) bits |= PUNCTUATION
  if (/[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u.test(text)) bits |= WORD
  if (isIdeograph(codePoint)) bits |= IDEOGRAPH
  if (/[\p{Lu}\p{Lt}]/u.test(text)) bits |= UPPER
  if (/\p{Ll}/u.test(text)) bits |= LOWER
  return bits
}

/** The CJK blocks of BERT's BasicTokenizer: unified ideographs with extensions A to E, and the compatibility blocks. */
function isIdeograph(codePoint: number): boolean {
  return (
    (codePoint >= 0x4e00 && codePoint <= 0x9fff) ||
    (codePoint >= 0x3400 && codePoint <= 0x4dbf) ||
    (codePoint >= 0x20000 && codePoint <= 0x2a6df) ||
    (codePoint >= 0x2a700 && codePoint <= 0x2ceaf) ||
    (codePoint >= 0xf900 && codePoint <= 0xfaff) ||
    (codePoint >= 0x2f800 && codePoint <= 0x2fa1f)
  )
}
