/** WordPiece (BERT): the longest piece that fits, again and again; a word that cannot be covered is one unknown token. */
import { type CharTrie, ROOT } from './char-trie.ts'
import { codePointAt, widthOf } from './code-point-class.ts'
import type { IdList } from './piece-list.ts'
import type { WordEncoder } from './word-encoder.ts'

interface WordPieceParts {
  /** The pieces that may begin a word. */
  readonly initial: CharTrie
  /** The others, without their prefix. */
  readonly continuing: CharTrie
  readonly unknownTokenId: number
  readonly maxCharactersPerWord: number
}

export class WordPieceEncoder implements WordEncoder {
  private readonly initial: CharTrie
  private readonly continuing: CharTrie
  private readonly unknownTokenId: number
  private readonly maxCharactersPerWord: number

  constructor(parts: WordPieceParts) {
    this.initial = parts.initial
    this.continuing = parts.continuing
    this.unknownTokenId = parts.unknownTokenId
    this.maxCharactersPerWord = parts.maxCharactersPerWord
  }

  /** A word that nothing covers is one unknown token. */
  minTokens(): number {
    return 1
  }

  encodeWord(text: string, start: number, end: number, out: IdList): void {
    const firstId = out.count
    if (countCharacters(text, start, end, this.maxCharactersPerWord) > this.maxCharactersPerWord) return out.push(this.unknownTokenId)
    for (let position = start; position < end;) {
      const trie = position === start ? this.initial : this.continuing
      let node = ROOT
      let bestEnd = -1
      let bestId = -1
      for (let index = position; index < end; index += 1) {
        node = trie.step(node, text.charCodeAt(index))
        if (node < 0) break
        if (trie.idAt(node) < 0) continue
        bestId = trie.idAt(node)
        bestEnd = index + 1
      }
      if (bestId < 0) {
        out.count = firstId
        return out.push(this.unknownTokenId)
      }
      out.push(bestId)
      position = bestEnd
    }
  }
}

/** Stops counting beyond `limit`. */
function countCharacters(text: string, start: number, end: number, limit: number): number {
  let count = 0
  for (let position = start; position < end && count <= limit; count += 1) position += widthOf(codePointAt(text, position, end))
  return count
}
