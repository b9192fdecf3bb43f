/**
 * Unigram (T5, ALBERT, XLM-R): the cut of a word into pieces with the highest sum of log-probabilities, by Viterbi. Kudo 2018, arXiv:1804.10959.
 */
import type { ByteFallback } from './byte-fallback.ts'
import { type CharTrie, ROOT } from './char-trie.ts'
import { codePointAt, widthOf } from './code-point-class.ts'
import type { IdList } from './piece-list.ts'
import type { WordEncoder } from './word-encoder.ts'

/** How much worse than the worst piece an unknown character is. */
const UNKNOWN_PENALTY = 10
const UNREACHED = -1
const UNKNOWN_ID = -1
const MAX_KEPT_LENGTH = 65_536

export class UnigramEncoder implements WordEncoder {
  private readonly trie: CharTrie
  private readonly scores: Float64Array
  private readonly unknownScore: number
  private readonly maxPieceLength: number
  private readonly fallback: ByteFallback
  private best: Float64Array = new Float64Array(0)
  private from: Int32Array = new Int32Array(0)
  private piece: Int32Array = new Int32Array(0)

  /** scores: f64 (vocabSize). minScore: of the normal pieces. */
  constructor(parts: {
    readonly trie: CharTrie
    readonly scores: Float64Array
    readonly minScore: number
    readonly maxPieceLength: number
    readonly fallback: ByteFallback
  }) {
    this.trie = parts.trie
    this.scores = parts.scores
    this.unknownScore = parts.minScore - UNKNOWN_PENALTY
    this.maxPieceLength = parts.maxPieceLength
    this.fallback = parts.fallback
  }

  encodeWord(text: string, start: number, end: number, out: IdList): void {
    const length = end - start
    this.reserve(length)
    this.findBest(text, start, length)
    this.emit(text, start, length, out)
    if (this.best.length > MAX_KEPT_LENGTH) this.drop()
  }

  minTokens(length: number): number {
    return this.fallback.joinsUnknown ? 1 : length / this.maxPieceLength
  }

  private findBest(text: string, start: number, length: number): void {
    const { best, from, piece, trie, scores } = this
    from.fill(UNREACHED, 0, length + 1)
    best[0] = 0
    for (let position = 0; position < length;) {
      const width = widthOf(codePointAt(text, start + position, start + length))
      let node = ROOT
      let hasSingle = false
      for (let index = position; index < length; index += 1) {
        node = trie.step(node, text.charCodeAt(start + index))
        if (node < 0) break
        const id = trie.idAt(node)
        if (id < 0) continue
        const score = best[position]! + scores[id]!
        const target = index + 1
        if (from[target] === UNREACHED || score > best[target]!) {
          best[target] = score
          from[target] = position
          piece[target] = id
        }
        if (target === position + width) hasSingle = true
      }
      const afterCharacter = position + width
      const unknownScore = best[position]! + this.unknownScore
      if (!hasSingle && (from[afterCharacter] === UNREACHED || unknownScore > best[afterCharacter]!)) {
        best[afterCharacter] = unknownScore
        from[afterCharacter] = position
        piece[afterCharacter] = UNKNOWN_ID
      }
      position = afterCharacter
    }
  }

  /** Reverses the links from the end in place, then walks them forward. */
  private emit(text: string, start: number, length: number, out: IdList): void {
    const { from, piece, fallback } = this
    let cut = length
    let later = UNREACHED
    while (cut > 0) {
      const earlier = from[cut]!
      from[cut] = later
      later = cut
      cut = earlier
    }
    fallback.endRun()
    let position = 0
    for (let target = later; target !== UNREACHED; target = from[target]!) {
      if (piece[target] === UNKNOWN_ID) {
        fallback.push(codePointAt(text, start + position, start + length), out)
      } else {
        fallback.endRun()
        out.push(piece[target]!)
      }
      position = target
    }
  }

  private reserve(length: number): void {
    if (this.best.length > length) return
    const capacity = Math.max(length + 1, 1024)
    this.best = new Float64Array(capacity)
    this.from = new Int32Array(capacity)
    this.piece = new Int32Array(capacity)
  }

  private drop(): void {
    this.best = new Float64Array(0)
    this.from = new Int32Array(0)
    this.piece = new Int32Array(0)
  }
}
