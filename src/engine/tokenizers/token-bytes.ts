/** The bytes that a token stands for, from its text in the vocabulary. */
import { SPACE_SIGN } from './pre-tokenizers.ts'

const textEncoder = new TextEncoder()

/** The token's text as it stands. */
export function literalTokenBytes(text: string): Uint8Array {
  return textEncoder.encode(text)
}

/** SentencePiece tokens: the space sign is a space. */
export function pieceTokenBytes(text: string): Uint8Array {
  return textEncoder.encode(text.replaceAll(SPACE_SIGN, ' '))
}

/** WordPiece tokens: one without the continuing prefix begins a word, with a space before it. */
export function wordPieceTokenBytes(text: string, continuingPrefix: string): Uint8Array {
  return textEncoder.encode(text.startsWith(continuingPrefix) ? text.slice(continuingPrefix.length) : ` ${text}`)
}
