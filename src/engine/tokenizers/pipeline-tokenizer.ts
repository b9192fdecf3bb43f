/**
 * A tokenizer as a pipeline: added tokens are cut out, what is between them is normalized, cut into words, and each word encoded.
 */
import type { AddedTokenMatcher, AddedTokenMatch } from './added-tokens.ts'
import { ProtectionCursor } from './added-tokens.ts'
import { classOf, SPACE } from './code-point-class.ts'
import type { Normalizer } from './normalizers.ts'
import { IdList, PieceList } from './piece-list.ts'
import { MAX_COUNTED_LENGTH, tooManyTokens } from './token-limit.ts'
import type { EncodeOptions, TokenKind, Tokenizer } from './tokenizer.ts'
import type { Vocabulary } from './vocabulary.ts'
import type { WordEncoder } from './word-encoder.ts'
import type { PreTokenizer } from './word-scanner.ts'

export interface TokenizerParts {
  readonly vocabulary: Vocabulary
  readonly addedTokens: AddedTokenMatcher
  readonly normalizer: Normalizer
  readonly preTokenizer: PreTokenizer
  readonly encoder: WordEncoder
  /** Bytes of a normal token. */
  readonly bytesOfText: (text: string) => Uint8Array
  /** Bytes of an added token that is not control. */
  readonly bytesOfAddedText: (text: string) => Uint8Array
  readonly byteOfToken: (text: string) => number | null
  /** Ids that addSpecial puts around the text. */
  readonly prefixIds: readonly number[]
  readonly suffixIds: readonly number[]
  readonly bosTokenId: number | null
  readonly eosTokenIds: readonly number[]
  readonly stripsLeadingSpace: boolean
}

const NO_BYTES = new Uint8Array(0)

export class PipelineTokenizer implements Tokenizer {
  readonly vocabSize: number
  readonly bosTokenId: number | null
  readonly eosTokenIds: readonly number[]
  readonly stripsLeadingSpace: boolean
  /** The model inside, for tests that count its work. */
  readonly encoder: WordEncoder
  private readonly parts: TokenizerParts
  private readonly pieces = new PieceList()
  /** Of tokens that were asked for: decoding repeats itself. */
  private readonly knownBytes: (Uint8Array | undefined)[] = []

  constructor(parts: TokenizerParts) {
    this.parts = parts
    this.vocabSize = parts.vocabulary.size
    this.bosTokenId = parts.bosTokenId
    this.eosTokenIds = parts.eosTokenIds
    this.stripsLeadingSpace = parts.stripsLeadingSpace
    this.encoder = parts.encoder
  }

  encode(text: string, options: EncodeOptions): number[] {
    const clean = text.toWellFormed()
    const out = new IdList()
    if (options.addSpecial) for (const id of this.parts.prefixIds) out.push(id)
    const protectedText = options.protectedText ?? null
    const maxTokens = clean.length < MAX_COUNTED_LENGTH ? Infinity : (options.maxTokens ?? Infinity)
    const guard = protectedText === null || protectedText.ranges.length === 0 ? null : new ProtectionCursor(protectedText)
    let position = 0
    let segmentStart = 0
    for (;;) {
      const match = this.parts.addedTokens.find(clean, position, options.parseSpecial, guard)
      if (match === null) break
      const segmentEnd = match.token.stripsLeft ? trimmedEnd(clean, segmentStart, match.start) : match.start
      this.encodeSegment(clean.slice(segmentStart, segmentEnd), { isFirst: segmentStart === 0, maxTokens }, out)
      out.push(match.token.id)
      position = endOfMatch(clean, match)
      segmentStart = position
    }
    this.encodeSegment(clean.slice(segmentStart), { isFirst: segmentStart === 0, maxTokens }, out)
    if (options.addSpecial) for (const id of this.parts.suffixIds) out.push(id)
    return out.toArray()
  }

  /** Hot: per token. */
  tokenBytes(tokenId: number): Uint8Array {
    const known = this.knownBytes[tokenId]
    if (known !== undefined) return known
    const bytes = this.computeTokenBytes(tokenId)
    if (tokenId < this.vocabSize) this.knownBytes[tokenId] = bytes
    return bytes
  }

  private computeTokenBytes(tokenId: number): Uint8Array {
    const { vocabulary, byteOfToken } = this.parts
    const text = vocabulary.text(tokenId)
    switch (vocabulary.kind(tokenId)) {
      case 'control':
      case 'unused':
        return NO_BYTES
      case 'byte': {
        const byte = byteOfToken(text)
        return byte === null ? NO_BYTES : Uint8Array.of(byte)
      }
      case 'unknown':
      case 'user-defined':
        return this.parts.bytesOfAddedText(text)
      default:
        return this.parts.bytesOfText(text)
    }
  }

  tokenKind(tokenId: number): TokenKind {
    return this.parts.vocabulary.kind(tokenId)
  }

  tokenText(tokenId: number): string {
    return this.parts.vocabulary.text(tokenId)
  }

  tokenId(text: string): number | null {
    return this.parts.vocabulary.id(text)
  }

  /** Throws InferdError('context_length_exceeded') as soon as more than maxTokens are certain. */
  private encodeSegment(segment: string, options: { readonly isFirst: boolean; readonly maxTokens: number }, out: IdList): void {
    const { maxTokens } = options
    if (out.count > maxTokens) throw tooManyTokens(maxTokens)
    if (segment === '') return
    const { normalizer, preTokenizer, encoder } = this.parts
    const normalized = normalizer(segment, options.isFirst)
    const { pieces } = this
    pieces.clear()
    pieces.maxTokens = maxTokens
    preTokenizer.split(normalized, 0, normalized.length, pieces)
    const { starts, ends, count } = pieces
    for (let piece = 0; piece < count; piece += 1) {
      const start = starts[piece]!
      const end = ends[piece]!
      if (out.count + encoder.minTokens(end - start) > maxTokens) throw tooManyTokens(maxTokens)
      encoder.encodeWord(normalized, start, end, out)
    }
  }
}

function trimmedEnd(text: string, start: number, end: number): number {
  while (end > start && (classOf(text.charCodeAt(end - 1)) & SPACE) !== 0) end -= 1
  return end
}

function endOfMatch(text: string, match: AddedTokenMatch): number {
  let { end } = match
  if (match.token.stripsRight) while (end < text.length && (classOf(text.charCodeAt(end)) & SPACE) !== 0) end += 1
  return end
}
