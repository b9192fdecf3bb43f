/**
 * The token table of a model: text, kind and id of every token. Model files are strangers: sizes, ids and holes are
 * checked here once, so that encoders may index without looking.
 */
import { InferdError } from '#contract/errors'
import type { TokenKind } from './tokenizer.ts'

/** Largest vocabulary in use today is about 262 thousand; the limit leaves room and keeps a hostile count harmless. */
export const MAX_VOCABULARY_TOKENS = 4_194_304
/** Longest text of one token, UTF-16 units. The longest known ones are runs of a few hundred spaces. */
export const MAX_TOKEN_LENGTH = 65_536
/** Text of all tokens together, UTF-16 units. */
const MAX_VOCABULARY_LENGTH = 268_435_456

export interface VocabularyEntry {
  readonly text: string
  readonly kind: TokenKind
}

export class Vocabulary {
  readonly size: number
  /** UTF-16 units of the longest token that text can become; at least 2, for a character that is bytes. */
  readonly maxPieceLength: number
  private readonly texts: readonly string[]
  private readonly kinds: readonly TokenKind[]
  /** The first id wins when two tokens share a text; holes have no text. */
  private readonly ids: ReadonlyMap<string, number>

  constructor(entries: readonly VocabularyEntry[]) {
    this.size = entries.length
    this.texts = entries.map((entry) => entry.text)
    this.kinds = entries.map((entry) => entry.kind)
    const ids = new Map<string, number>()
    let maxPieceLength = 2
    for (let id = 0; id < entries.length; id += 1) {
      const { text, kind } = entries[id]!
      if (kind !== 'control' && kind !== 'byte') maxPieceLength = Math.max(maxPieceLength, text.length)
      if (text !== '' && !ids.has(text)) ids.set(text, id)
    }
    this.ids = ids
    this.maxPieceLength = maxPieceLength
  }

  text(tokenId: number): string {
    return this.texts[tokenId] ?? ''
  }

  kind(tokenId: number): TokenKind {
    return this.kinds[tokenId] ?? 'unused'
  }

  id(text: string): number | null {
    return this.ids.get(text) ?? null
  }
}

/** Throws InferdError('invalid_model_file') when the table is empty or beyond the limits. `field` names it in the message. */
export function checkVocabularyTexts(texts: readonly string[], field: string): void {
  if (texts.length === 0) throw invalidTokenizer(field, 'is empty')
  if (texts.length > MAX_VOCABULARY_TOKENS) throw invalidTokenizer(field, `has ${texts.length} tokens, at most ${MAX_VOCABULARY_TOKENS} are allowed`)
  let totalLength = 0
  for (let id = 0; id < texts.length; id += 1) {
    const length = texts[id]!.length
    if (length > MAX_TOKEN_LENGTH) throw invalidTokenizer(`${field}[${id}]`, `is ${length} characters long, at most ${MAX_TOKEN_LENGTH} are allowed`)
    totalLength += length
  }
  if (totalLength > MAX_VOCABULARY_LENGTH) {
    throw invalidTokenizer(field, `holds ${totalLength} characters, at most ${MAX_VOCABULARY_LENGTH} are allowed`)
  }
}

export function invalidTokenizer(field: string, problem: string): InferdError {
  return new InferdError('invalid_model_file', `tokenizer: ${field} ${problem}`)
}

export function unsupportedTokenizer(field: string, problem: string): InferdError {
  return new InferdError('unsupported_model', `tokenizer: ${field} ${problem}`)
}

/** A stranger's text in a message: short and printable. */
export function quoteForMessage(text: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 80)}...` : text
  return JSON.stringify(shown.toWellFormed())
}
