/**
 * The smaller cutters of text into words: digits, white space, punctuation, BERT's, the SentencePiece space sign, and sequences of
 * cutters. Each is one linear pass.
 */
import { classOf, codePointAt, IDEOGRAPH, NUMBER, PUNCTUATION, SPACE, widthOf, WORD } from './code-point-class.ts'
import { PieceList } from './piece-list.ts'
import type { PreTokenizer } from './word-scanner.ts'

/** The whole text is one word. */
export const WHOLE_TEXT: PreTokenizer = {
  split: (_text, start, end, out) => out.push(start, end),
}

/** Cuts wherever the class of characters changes; `classify` gives a small number, 0 means that the character is dropped, a
 *  negative one that it stands alone. */
class ClassChangeCutter implements PreTokenizer {
  private readonly classify: (codePoint: number) => number

  constructor(classify: (codePoint: number) => number) {
    this.classify = classify
  }

  split(text: string, start: number, end: number, out: PieceList): void {
    let pieceStart = start
    let pieceClass = 0
    let position = start
    while (position < end) {
      const codePoint = codePointAt(text, position, end)
      const here = this.classify(codePoint)
      if (here !== pieceClass || here < 0) {
        if (pieceClass !== 0) out.push(pieceStart, position)
        pieceStart = position
        pieceClass = here
      }
      position += widthOf(codePoint)
    }
    if (pieceClass !== 0) out.push(pieceStart, end)
  }
}

export const INDIVIDUAL_DIGITS = new ClassChangeCutter((codePoint) => ((classOf(codePoint) & NUMBER) === 0 ? 1 : -1))
export const CONTIGUOUS_DIGITS = new ClassChangeCutter((codePoint) => ((classOf(codePoint) & NUMBER) === 0 ? 1 : 2))
export const WHITESPACE_SPLIT = new ClassChangeCutter((codePoint) => ((classOf(codePoint) & SPACE) === 0 ? 1 : 0))
/** `\w+|[^\w\s]+` */
export const WORDS_AND_SIGNS = new ClassChangeCutter((codePoint) => {
  const bits = classOf(codePoint)
  if ((bits & WORD) !== 0) return 1
  return (bits & SPACE) !== 0 ? 0 : 2
})
export const PUNCTUATION_ALONE = new ClassChangeCutter((codePoint) => ((classOf(codePoint) & PUNCTUATION) === 0 ? 1 : -1))
export const BERT_WORDS = new ClassChangeCutter((codePoint) => {
  const bits = classOf(codePoint)
  if ((bits & SPACE) !== 0) return 0
  return (bits & PUNCTUATION) === 0 ? 1 : -1
})

/** For the BERT normalizer: ideographs get spaces around them. */
export function isIdeographCodePoint(codePoint: number): boolean {
  return (classOf(codePoint) & IDEOGRAPH) !== 0
}

/** The SentencePiece sign for a space, U+2581. */
export const SPACE_SIGN = '\u2581'
const SPACE_SIGN_UNIT = 0x2581

/** A word begins at every space sign. */
export const SPLIT_AT_SPACE_SIGN: PreTokenizer = {
  split(text, start, end, out) {
    let pieceStart = start
    for (let position = start + 1; position < end; position += 1) {
      if (text.charCodeAt(position) !== SPACE_SIGN_UNIT) continue
      out.push(pieceStart, position)
      pieceStart = position
    }
    out.push(pieceStart, end)
  },
}

/** A word begins at every run of space signs. Exact for a vocabulary in which no token holds a sign after another character. */
export const SPLIT_AT_SPACE_SIGN_RUN: PreTokenizer = {
  split(text, start, end, out) {
    let pieceStart = start
    for (let position = start + 1; position < end; position += 1) {
      if (text.charCodeAt(position) !== SPACE_SIGN_UNIT || text.charCodeAt(position - 1) === SPACE_SIGN_UNIT) continue
      out.push(pieceStart, position)
      pieceStart = position
    }
    out.push(pieceStart, end)
  },
}

/** Cutters one after another, each on the words of the one before. */
export class CutterSequence implements PreTokenizer {
  private readonly cutters: readonly PreTokenizer[]

  constructor(cutters: readonly PreTokenizer[]) {
    this.cutters = cutters
  }

  split(text: string, start: number, end: number, out: PieceList): void {
    let pieces = new PieceList()
    pieces.push(start, end)
    for (let index = 0; index < this.cutters.length; index += 1) {
      const refined = index === this.cutters.length - 1 ? out : new PieceList()
      for (let piece = 0; piece < pieces.count; piece += 1) {
        this.cutters[index]!.split(text, pieces.starts[piece]!, pieces.ends[piece]!, refined)
      }
      pieces = refined
    }
  }
}
