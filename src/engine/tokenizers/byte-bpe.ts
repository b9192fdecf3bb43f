/** Byte-level BPE (GPT-2, Llama 3, Qwen): a word's UTF-8 bytes are its first symbols, so that no text is unknown. */
import { alphabetText, bytesOfAlphabetText, byteCharacter, writeUtf8 } from './byte-alphabet.ts'
import { MergeTable } from './merge-table.ts'
import { Merger } from './merger.ts'
import type { IdList } from './piece-list.ts'
import { unsupportedTokenizer, type Vocabulary } from './vocabulary.ts'
import { MAX_CACHED_WORD_LENGTH, WordCache } from './word-cache.ts'
import type { WordEncoder } from './word-encoder.ts'

const MAX_WHOLE_WORD_LENGTH = 256
const textEncoder = new TextEncoder()

export class ByteBpeEncoder implements WordEncoder {
  readonly merger: Merger
  /** Token id of each byte. */
  private readonly byteTokens = new Int32Array(256).fill(-1)
  private readonly vocabulary: Vocabulary
  /** A word that is a normal token as a whole takes it, whatever the merges say. */
  private readonly wholeWordsFirst: boolean
  private readonly cache = new WordCache()

  /** Throws InferdError('unsupported_model') when a byte that UTF-8 uses has no token. */
  constructor(vocabulary: Vocabulary, merges: MergeTable, options: { readonly wholeWordsFirst: boolean }) {
    this.vocabulary = vocabulary
    this.merger = new Merger(merges)
    this.wholeWordsFirst = options.wholeWordsFirst
    for (let byte = 0; byte < 256; byte += 1) {
      const tokenId = vocabulary.id(byteCharacter(byte))
      const occursInUtf8 = byte < 0xc0 || (byte >= 0xc2 && byte <= 0xf4)
      if (tokenId === null && occursInUtf8) throw unsupportedTokenizer('vocab', `has no token for byte ${byte}`)
      this.byteTokens[byte] = tokenId ?? -1
    }
  }

  encodeWord(text: string, start: number, end: number, out: IdList): void {
    const cached = end - start <= MAX_CACHED_WORD_LENGTH
    if (cached && this.cache.lookUp(text, start, end, out)) return
    const firstId = out.count
    this.encodeUncached(text, start, end, out)
    if (cached) this.cache.store({ text, start, end }, out, firstId)
  }

  /** No token has more bytes than its text has units. */
  minTokens(length: number): number {
    return length / this.vocabulary.maxPieceLength
  }

  private encodeUncached(text: string, start: number, end: number, out: IdList): void {
    if (this.wholeWordsFirst && end - start <= MAX_WHOLE_WORD_LENGTH) {
      const whole = this.vocabulary.id(alphabetText(textEncoder.encode(text.slice(start, end))))
      if (whole !== null && this.vocabulary.kind(whole) === 'normal') return out.push(whole)
    }
    const { merger, byteTokens } = this
    merger.reserve((end - start) * 3)
    const numBytes = writeUtf8(text, start, end, merger.symbols)
    for (let index = 0; index < numBytes; index += 1) merger.symbols[index] = byteTokens[merger.symbols[index]!]!
    const numTokens = merger.merge(numBytes)
    out.append(merger.symbols, 0, numTokens)
  }
}

/** Bytes of a byte-level token; tokens outside of the alphabet (added ones) are their own UTF-8. */
export function byteLevelTokenBytes(text: string): Uint8Array {
  return bytesOfAlphabetText(text) ?? textEncoder.encode(text)
}
