/**
 * The regular expressions with which byte-level tokenizers cut text into words, as one hand-written scanner. A scanner is linear on
 * every input; the originals lean on `\s+(?!\S)` and `\s*[\r\n]+`, which backtrack. Alternatives are tried in the order of the originals:
 * contraction, letters, numbers, other signs, white space.
 */
import { classOf, codePointAt, LETTER, MARK, NEWLINE, NUMBER, SPACE, widthOf } from './code-point-class.ts'
import type { PieceList } from './piece-list.ts'

export interface PreTokenizer {
  /** Pushes the words of text[start, end) to `out`, in order. Linear in end - start. */
  split(text: string, start: number, end: number, out: PieceList): void
}

export interface WordRules {
  /** `'s 't 're 've 'm 'll 'd`, as they stand or in any case. */
  readonly contractions: 'exact' | 'ignore-case' | 'none'
  /** What may stand before a run of letters: a space, or any one character but a newline, letter or number. */
  readonly letterPrefix: 'space' | 'any'
  /** Whether marks (accents, vowel signs) count as letters. */
  readonly marksAreLetters: boolean
  /** Longest run of numbers, in code points. */
  readonly maxNumbers: number
  /** Whether a space may stand before numbers. */
  readonly numberTakesSpace: boolean
  /** Whether signs take the newlines after them, and newlines end a run of white space. */
  readonly newlineRules: boolean
}

export class WordScanner implements PreTokenizer {
  private readonly rules: WordRules
  private readonly letterMask: number

  constructor(rules: WordRules) {
    this.rules = rules
    this.letterMask = rules.marksAreLetters ? LETTER | MARK : LETTER
  }

  split(text: string, start: number, end: number, out: PieceList): void {
    let position = start
    while (position < end) {
      const next = this.wordEnd(text, position, end)
      out.push(position, next)
      position = next
    }
  }

  /** Hot: per word. End of the word that begins at `position`. */
  private wordEnd(text: string, position: number, end: number): number {
    const first = codePointAt(text, position, end)
    const { rules, letterMask } = this
    const signMask = letterMask | NUMBER | SPACE
    if (first === 0x27 && rules.contractions !== 'none') {
      const length = contractionLength(text, position, end, rules.contractions === 'ignore-case')
      if (length > 0) return position + length
    }
    const bits = classOf(first)
    const afterFirst = position + widthOf(first)
    const nextBits = afterFirst < end ? classOf(codePointAt(text, afterFirst, end)) : 0
    if ((bits & letterMask) !== 0) return runEnd(text, afterFirst, end, letterMask)
    const mayPrefix = rules.letterPrefix === 'space' ? first === 0x20 : (bits & (NEWLINE | LETTER | NUMBER)) === 0
    if (mayPrefix && (nextBits & letterMask) !== 0) return runEnd(text, afterFirst, end, letterMask)
    if ((bits & NUMBER) !== 0) return this.numbersEnd(text, position, end)
    if (first === 0x20 && rules.numberTakesSpace && (nextBits & NUMBER) !== 0) return this.numbersEnd(text, afterFirst, end)
    if ((bits & signMask) === 0) return this.signsEnd(text, afterFirst, end, signMask)
    if (first === 0x20 && afterFirst < end && (nextBits & signMask) === 0) return this.signsEnd(text, afterFirst, end, signMask)
    return spacesEnd(text, { position, end, newlineRules: rules.newlineRules })
  }

  private numbersEnd(text: string, position: number, end: number): number {
    for (let count = 0; count < this.rules.maxNumbers && position < end; count += 1) {
      const codePoint = codePointAt(text, position, end)
      if ((classOf(codePoint) & NUMBER) === 0) break
      position += widthOf(codePoint)
    }
    return position
  }

  private signsEnd(text: string, position: number, end: number, signMask: number): number {
    while (position < end) {
      const codePoint = codePointAt(text, position, end)
      if ((classOf(codePoint) & signMask) !== 0) break
      position += widthOf(codePoint)
    }
    return this.rules.newlineRules ? runEnd(text, position, end, NEWLINE) : position
  }
}

/** White space is in the basic plane, so one unit is one character here. */
export function spacesEnd(text: string, run: { readonly position: number; readonly end: number; readonly newlineRules: boolean }): number {
  const { position, end } = run
  let last = position
  let afterNewline = -1
  while (last < end) {
    const bits = classOf(text.charCodeAt(last))
    if ((bits & SPACE) === 0) break
    last += 1
    if ((bits & NEWLINE) !== 0) afterNewline = last
  }
  if (run.newlineRules && afterNewline > 0) return afterNewline
  // `\s+(?!\S)`: all but the last character of a run that something follows; that one goes with the next word.
  return last === end || last - position === 1 ? last : last - 1
}

export function runEnd(text: string, position: number, end: number, mask: number): number {
  while (position < end) {
    const codePoint = codePointAt(text, position, end)
    if ((classOf(codePoint) & mask) === 0) break
    position += widthOf(codePoint)
  }
  return position
}

/** Length of the contraction at an apostrophe, or 0. */
export function contractionLength(text: string, position: number, end: number, ignoreCase: boolean): number {
  const first = foldUnit(position + 1 < end ? text.charCodeAt(position + 1) : 0, ignoreCase)
  if (first === 0x73 || first === 0x74 || first === 0x6d || first === 0x64) return 2
  const second = foldUnit(position + 2 < end ? text.charCodeAt(position + 2) : 0, ignoreCase)
  if ((first === 0x72 || first === 0x76) && second === 0x65) return 3
  return first === 0x6c && second === 0x6c ? 3 : 0
}

/** U+017F (long s) is an s to a case-blind regular expression. */
function foldUnit(unit: number, ignoreCase: boolean): number {
  if (!ignoreCase) return unit
  if (unit === 0x17f) return 0x73
  return unit >= 0x41 && unit <= 0x5a ? unit + 32 : unit
}
