/**
 * SentencePiece-style BPE (Llama 2, Mistral, Gemma, Phi-3): a word's characters are its first symbols; characters that the vocabulary lacks
 * become bytes or the unknown token in the end.
 */
import type { ByteFallback } from './byte-fallback.ts'
import { codePointAt, widthOf } from './code-point-class.ts'
import type { MergeTable } from './merge-table.ts'
import { Merger } from './merger.ts'
import type { IdList } from './piece-list.ts'
import { MAX_TOKEN_LENGTH, type Vocabulary } from './vocabulary.ts'
import { MAX_CACHED_WORD_LENGTH, WordCache } from './word-cache.ts'
import type { WordEncoder } from './word-encoder.ts'

/** Symbols at and above stand for characters without a token: base + code point. */
const UNKNOWN_SYMBOL_BASE = 0x10000000

/** The first symbol of each character. */
export class CharacterSymbols {
  private readonly basicPlane = new Int32Array(65_536).fill(-1)
  private readonly astral = new Map<number, number>()

  constructor(vocabulary: Vocabulary) {
    for (let id = vocabulary.size - 1; id >= 0; id -= 1) {
      const text = vocabulary.text(id)
      const kind = vocabulary.kind(id)
      if (text.length === 0 || text.length > 2 || kind === 'control' || kind === 'unknown') continue
      const codePoint = codePointAt(text, 0, text.length)
      if (widthOf(codePoint) !== text.length) continue
      if (codePoint > 0xffff) this.astral.set(codePoint, id)
      else this.basicPlane[codePoint] = id
    }
  }

  /** Hot: per character. */
  of(codePoint: number): number {
    const id = codePoint > 0xffff ? (this.astral.get(codePoint) ?? -1) : this.basicPlane[codePoint]!
    return id < 0 ? UNKNOWN_SYMBOL_BASE + codePoint : id
  }
}

export class PieceBpeEncoder implements WordEncoder {
  readonly merger: Merger
  private readonly vocabulary: Vocabulary
  private readonly characters: CharacterSymbols
  private readonly fallback: ByteFallback
  private readonly wholeWordsFirst: boolean
  private readonly cache = new WordCache()

  constructor(parts: {
    readonly vocabulary: Vocabulary
    readonly merges: MergeTable
    readonly characters: CharacterSymbols
    readonly fallback: ByteFallback
    readonly wholeWordsFirst: boolean
  }) {
    this.vocabulary = parts.vocabulary
    this.merger = new Merger(parts.merges)
    this.characters = parts.characters
    this.fallback = parts.fallback
    this.wholeWordsFirst = parts.wholeWordsFirst
  }

  encodeWord(text: string, start: number, end: number, out: IdList): void {
    const cached = end - start <= MAX_CACHED_WORD_LENGTH
    if (cached && this.cache.lookUp(text, start, end, out)) return
    const firstId = out.count
    this.encodeUncached(text, start, end, out)
    if (cached) this.cache.store({ text, start, end }, out, firstId)
  }

  minTokens(length: number): number {
    return this.fallback.joinsUnknown ? 1 : length / this.vocabulary.maxPieceLength
  }

  private encodeUncached(text: string, start: number, end: number, out: IdList): void {
    if (this.wholeWordsFirst && end - start <= MAX_TOKEN_LENGTH) {
      const whole = this.vocabulary.id(text.slice(start, end))
      if (whole !== null && this.vocabulary.kind(whole) === 'normal') return out.push(whole)
    }
    const { merger, characters, fallback } = this
    merger.reserve(end - start)
    let numSymbols = 0
    for (let position = start; position < end;) {
      const codePoint = codePointAt(text, position, end)
      merger.symbols[numSymbols++] = characters.of(codePoint)
      position += widthOf(codePoint)
    }
    const numLeft = merger.merge(numSymbols)
    fallback.endRun()
    for (let index = 0; index < numLeft; index += 1) {
      const symbol = merger.symbols[index]!
      if (symbol >= UNKNOWN_SYMBOL_BASE) {
        fallback.push(symbol - UNKNOWN_SYMBOL_BASE, out)
      } else {
        fallback.endRun()
        out.push(symbol)
      }
    }
  }
}
