/** Builds the merge table of piece-level BPE: from explicit merges, or from SentencePiece scores. */
import { codePointAt, widthOf } from './code-point-class.ts'
import { MAX_MERGES, MergeTable } from './merge-table.ts'
import type { CharacterSymbols } from './piece-bpe.ts'
import type { TokenKind } from './tokenizer.ts'
import { invalidTokenizer, quoteForMessage, unsupportedTokenizer, type Vocabulary } from './vocabulary.ts'

/** Splitting a piece everywhere costs its length squared; real ones have up to 64 characters. */
const MAX_SCORED_PIECE_LENGTH = 256

export type MergePair = readonly [left: string, right: string]

/** Throws InferdError('invalid_model_file') for a merge of texts that are no tokens. */
export function mergesFromPairs(vocabulary: Vocabulary, pairs: readonly MergePair[]): MergeTable {
  if (pairs.length > MAX_MERGES) throw invalidTokenizer('merges', `has ${pairs.length} entries, at most ${MAX_MERGES} are allowed`)
  const table = new MergeTable(pairs.length)
  for (let rank = 0; rank < pairs.length; rank += 1) {
    const [leftText, rightText] = pairs[rank]!
    const left = vocabulary.id(leftText)
    const right = vocabulary.id(rightText)
    const merged = vocabulary.id(leftText + rightText)
    if (left === null || right === null || merged === null) {
      const missing = left === null ? leftText : right === null ? rightText : leftText + rightText
      throw invalidTokenizer(`merges[${rank}]`, `names ${quoteForMessage(missing)}, which is not a token`)
    }
    if (isMergeable(vocabulary.kind(merged))) table.add({ left, right, rank, merged })
  }
  return table
}

/** What a user writes never merges into a control token, or into a byte that its text only names. */
function isMergeable(kind: TokenKind): boolean {
  return kind !== 'control' && kind !== 'byte' && kind !== 'unknown'
}

/**
 * SentencePiece keeps no merges: any two neighbours whose text together is a piece may merge, the highest score first. Equal to
 * that: every way to split every piece into two symbols, ranked by the piece's score.
 */
export function mergesFromScores(vocabulary: Vocabulary, scores: ArrayLike<number>, characters: CharacterSymbols): MergeTable {
  const ranks = rankByScore(vocabulary, scores)
  const found: { left: number; right: number; rank: number; merged: number }[] = []
  for (let id = 0; id < vocabulary.size; id += 1) {
    if (vocabulary.kind(id) !== 'normal') continue
    const text = vocabulary.text(id)
    if (text.length > MAX_SCORED_PIECE_LENGTH) {
      throw unsupportedTokenizer('tokens', `has ${quoteForMessage(text)}, longer than ${MAX_SCORED_PIECE_LENGTH} characters`)
    }
    const last = text.length
    for (let cut = widthOf(codePointAt(text, 0, last)); cut < last; cut += widthOf(codePointAt(text, cut, last))) {
      const left = symbolOf(text.slice(0, cut), vocabulary, characters)
      const right = left === null ? null : symbolOf(text.slice(cut), vocabulary, characters)
      if (left !== null && right !== null) found.push({ left, right, rank: ranks[id]!, merged: id })
    }
  }
  const table = new MergeTable(found.length)
  for (const pair of found) table.add(pair)
  return table
}

function symbolOf(text: string, vocabulary: Vocabulary, characters: CharacterSymbols): number | null {
  const codePoint = codePointAt(text, 0, text.length)
  if (widthOf(codePoint) === text.length) return characters.of(codePoint)
  const id = vocabulary.id(text)
  return id !== null && vocabulary.kind(id) === 'normal' ? id : null
}

/** Equal scores share a rank, so that the leftmost of them merges first. */
function rankByScore(vocabulary: Vocabulary, scores: ArrayLike<number>): Int32Array {
  for (let id = 0; id < vocabulary.size; id += 1) {
    if (!Number.isFinite(scores[id])) throw invalidTokenizer(`scores[${id}]`, 'is not a finite number')
  }
  const order = Array.from({ length: vocabulary.size }, (_, id) => id).sort((a, b) => scores[b]! - scores[a]! || a - b)
  const ranks = new Int32Array(vocabulary.size)
  let rank = 0
  for (let index = 0; index < order.length; index += 1) {
    if (index > 0 && scores[order[index]!] !== scores[order[index - 1]!]) rank += 1
    ranks[order[index]!] = rank
  }
  return ranks
}
