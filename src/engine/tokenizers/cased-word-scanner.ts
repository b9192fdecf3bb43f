/**
 * The word cutter that minds case (Tekken of Mistral Nemo, o200k of GPT-4o): a word is capitals and then small letters, so that `camelCase` is two
 * words. One hand-written linear scanner for expressions that backtrack.
 */
import { classOf, codePointAt, LETTER, LOWER, MARK, NEWLINE, NUMBER, SPACE, UPPER, widthOf } from './code-point-class.ts'
import type { PieceList } from './piece-list.ts'
import { contractionLength, type PreTokenizer, runEnd, spacesEnd } from './word-scanner.ts'

export interface CasedWordRules {
  /** A contraction in any case belongs to the word before it. */
  readonly takesContraction: boolean
  /** Longest run of numbers, in code points. */
  readonly maxNumbers: number
}

const SLASH = 0x2f

export class CasedWordScanner implements PreTokenizer {
  private readonly rules: CasedWordRules

  constructor(rules: CasedWordRules) {
    this.rules = rules
  }

  split(text: string, start: number, end: number, out: PieceList): void {
    let position = start
    while (position < end) {
      const next = this.wordEnd(text, position, end)
      out.push(position, next)
      position = next
    }
  }

  /** Hot: per word. */
  private wordEnd(text: string, position: number, end: number): number {
    const first = codePointAt(text, position, end)
    const bits = classOf(first)
    const afterFirst = position + widthOf(first)
    const letters = this.lettersEnd(text, position, end)
    if (letters > 0) return letters
    if ((bits & NUMBER) !== 0) return this.numbersEnd(text, position, end)
    if ((bits & (SPACE | LETTER | NUMBER)) === 0) return signsEnd(text, afterFirst, end)
    const nextBits = first === 0x20 && afterFirst < end ? classOf(codePointAt(text, afterFirst, end)) : SPACE
    if ((nextBits & (SPACE | LETTER | NUMBER)) === 0) return signsEnd(text, afterFirst, end)
    return spacesEnd(text, { position, end, newlineRules: true })
  }

  /** End of a word of letters with one other character before it or none; 0 when there is none. */
  private lettersEnd(text: string, position: number, end: number): number {
    const first = codePointAt(text, position, end)
    const afterFirst = position + widthOf(first)
    const mayPrefix = (classOf(first) & (NEWLINE | LETTER | NUMBER)) === 0
    const prefixed = mayPrefix ? endsInSmall(text, afterFirst, end) : 0
    const wordEnd =
      prefixed || endsInSmall(text, position, end) || (mayPrefix ? capitalsEnd(text, afterFirst, end) : 0) || capitalsEnd(text, position, end)
    if (wordEnd === 0 || !this.rules.takesContraction) return wordEnd
    return wordEnd < end && text.charCodeAt(wordEnd) === 0x27 ? wordEnd + contractionLength(text, wordEnd, end, true) : wordEnd
  }

  private numbersEnd(text: string, position: number, end: number): number {
    for (let count = 0; count < this.rules.maxNumbers && position < end; count += 1) {
      const codePoint = codePointAt(text, position, end)
      if ((classOf(codePoint) & NUMBER) === 0) break
      position += widthOf(codePoint)
    }
    return position
  }
}

/** Letters that may stand among capitals: all but small ones. */
function isCapitalLike(bits: number): boolean {
  return (bits & (LETTER | MARK)) !== 0 && (bits & LOWER) === 0
}

/** Letters that may stand among small ones: all but capitals. */
function isSmallLike(bits: number): boolean {
  return (bits & (LETTER | MARK)) !== 0 && (bits & UPPER) === 0
}

/** `capitals* small+`: its end, or 0. The capitals give back what the small letters need. */
function endsInSmall(text: string, position: number, end: number): number {
  let lastSmall = 0
  while (position < end) {
    const codePoint = codePointAt(text, position, end)
    const bits = classOf(codePoint)
    if (!isCapitalLike(bits)) break
    position += widthOf(codePoint)
    if (isSmallLike(bits)) lastSmall = position
  }
  const afterSmall = smallEnd(text, position, end)
  return afterSmall > position ? afterSmall : lastSmall
}

/** `capitals+`: its end, or 0. */
function capitalsEnd(text: string, position: number, end: number): number {
  const start = position
  while (position < end) {
    const codePoint = codePointAt(text, position, end)
    if (!isCapitalLike(classOf(codePoint))) break
    position += widthOf(codePoint)
  }
  return position > start ? position : 0
}

function smallEnd(text: string, position: number, end: number): number {
  while (position < end) {
    const codePoint = codePointAt(text, position, end)
    if (!isSmallLike(classOf(codePoint))) break
    position += widthOf(codePoint)
  }
  return position
}

/** Signs and then newlines and slashes. */
function signsEnd(text: string, position: number, end: number): number {
  let last = runEndOutside(text, position, end)
  while (last < end && (text.charCodeAt(last) === SLASH || (classOf(text.charCodeAt(last)) & NEWLINE) !== 0)) {
    last = text.charCodeAt(last) === SLASH ? last + 1 : runEnd(text, last, end, NEWLINE)
  }
  return last
}

function runEndOutside(text: string, position: number, end: number): number {
  while (position < end) {
    const codePoint = codePointAt(text, position, end)
    if ((classOf(codePoint) & (SPACE | LETTER | NUMBER)) !== 0) break
    position += widthOf(codePoint)
  }
  return position
}
