/**
 * Text to token ids and back. One instance per model, immutable, shared by all requests.
 */
export type TokenKind = 'normal' | 'byte' | 'control' | 'unknown' | 'user-defined' | 'unused'

export interface EncodeOptions {
  /**
   * True: the text of special tokens becomes those tokens (only for text that a template wrote).
   * False: it is encoded as plain text (everything a user wrote).
   */
  readonly parseSpecial: boolean
  /** Adds the begin/end tokens that the model's tokenizer asks for (bos for Llama, none for Qwen). */
  readonly addSpecial: boolean
  /** Parts of the text that a user wrote, inside text that a template wrote: no special token may touch them. Null: none. */
  readonly protectedText?: ProtectedText | null
  /** A text of 64 KiB or more that makes more tokens than this is not encoded to its end. Null: no limit. */
  readonly maxTokens?: number | null
}

export interface ProtectedText {
  /** Flat, ascending, disjoint [start, end) pairs in UTF-16 units. */
  readonly ranges: readonly number[]
  /** User-defined tokens that are refused there too (control tokens always are): the ones that the template itself writes. */
  readonly userDefinedTokenIds: ReadonlySet<number>
}

export interface Tokenizer {
  readonly vocabSize: number
  readonly bosTokenId: number | null
  /** Every token that ends a turn or a document: eos, eot, eom. The one that the files call eos comes first. */
  readonly eosTokenIds: readonly number[]
  /** Time and memory linear in the text. Throws InferdError('context_length_exceeded') beyond maxTokens. */
  encode(text: string, options: EncodeOptions): number[]
  /** The token's bytes as they appear in text; empty for control tokens. Shared: not to be written. */
  tokenBytes(tokenId: number): Uint8Array
  tokenKind(tokenId: number): TokenKind
  /** The special token's literal text (`<|im_end|>`), or the token's text. For logprobs and inspection. */
  tokenText(tokenId: number): string
  /** Id of a token by its literal text; null when there is none. */
  tokenId(text: string): number | null
  /** True when the first decoded token's leading space is an artefact (SentencePiece dummy prefix). */
  readonly stripsLeadingSpace: boolean
}
