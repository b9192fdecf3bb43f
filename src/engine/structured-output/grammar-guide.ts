/** Holds one choice to its grammar, and finds the tokens that need no model: keys, quotes and brackets that only one text can continue. */
import { assert } from '#base/assert'
import { InferdError } from '#contract/errors'
import type { TokenMatcher } from '#engine/grammar/token-matcher'
import type { TokenGuide } from '#engine/scheduler/token-guide'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'

/** A forced text is looked for so far ahead; what is longer is found after the next step. */
const MAX_FORCED_BYTES = 512
/** SentencePiece puts a space before what begins a text: behind a line break it does not. */
const SPELLINGS = [
  { lead: '', parseSpecial: true },
  { lead: '', parseSpecial: false },
  { lead: '\n', parseSpecial: false },
] as const
const LEAD_BYTE = 0x0a
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export class GrammarGuide implements TokenGuide {
  readonly isConstrained = true
  private readonly matcher: TokenMatcher
  private readonly tokenizer: Tokenizer
  /** Forced tokens that the matcher has taken and the scheduler has not told yet. */
  private readonly ahead: number[] = []

  constructor(matcher: TokenMatcher, tokenizer: Tokenizer) {
    this.matcher = matcher
    this.tokenizer = tokenizer
  }

  get isComplete(): boolean {
    return this.ahead.length === 0 && this.matcher.isComplete
  }

  fillMask(words: Uint32Array): void {
    refuseAmbiguity(() => this.matcher.fillMask(words))
    if (!this.matcher.canEnd) return
    for (const tokenId of this.tokenizer.eosTokenIds) words[tokenId >> 5]! |= 1 << (tokenId & 31)
  }

  accept(tokenId: number): void {
    const forced = this.ahead.shift()
    if (forced !== undefined) assert(forced === tokenId, 'forced tokens come in their order')
    else
      assert(
        refuseAmbiguity(() => this.matcher.accept(tokenId)),
        'a token outside of the mask was sampled',
      )
  }

  /**
   * A forced text is spelled as the tokenizer would. Its last token is left to the model when a longer one could stand there: the model
   * may prefer `": "` to `":`.
   */
  forcedTokens(maxTokens: number): readonly number[] {
    return refuseAmbiguity(() => this.findForced(maxTokens))
  }

  private findForced(maxTokens: number): readonly number[] {
    assert(this.ahead.length === 0, 'forced tokens are told before more are asked for')
    while (this.ahead.length < maxTokens) {
      const numBefore: number = this.ahead.length
      this.takeForcedText(maxTokens)
      const special = this.ahead.length < maxTokens ? this.matcher.forcedTokenId() : null
      if (special !== null) this.take(special)
      if (this.ahead.length === numBefore) break
    }
    return [...this.ahead]
  }

  private takeForcedText(maxTokens: number): void {
    const bytes = this.matcher.forcedBytes(MAX_FORCED_BYTES)
    // Inside of a code point there is no text to spell: its other bytes are sampled.
    if (bytes.length === 0 || isContinuation(bytes[0]!)) return
    const tokenIds = this.spell(wholeCodePoints(bytes))
    for (const [index, tokenId] of tokenIds.entries()) {
      if (this.ahead.length >= maxTokens) return
      if (index === tokenIds.length - 1 && this.matcher.hasLongerToken(this.tokenizer.tokenBytes(tokenId))) return
      this.take(tokenId)
    }
  }

  private take(tokenId: number): void {
    assert(this.matcher.accept(tokenId), 'what is forced is allowed')
    this.ahead.push(tokenId)
  }

  /** No tokens when the tokenizer has no spelling with exactly these bytes. */
  private spell(text: string): readonly number[] {
    for (const { lead, parseSpecial } of SPELLINGS) {
      const tokenIds = this.tokenizer.encode(lead + text, { parseSpecial, addSpecial: false })
      const start = tokenIds.findIndex((tokenId) => lead !== '' && this.tokenizer.tokenBytes(tokenId).at(-1) === LEAD_BYTE) + 1
      if (this.bytesOf(tokenIds.slice(start)) === text) return tokenIds.slice(start)
    }
    return []
  }

  private bytesOf(tokenIds: readonly number[]): string | null {
    const { tokenizer } = this
    if (tokenIds.some((tokenId) => tokenizer.eosTokenIds.includes(tokenId))) return null
    try {
      return decoder.decode(Buffer.concat(tokenIds.map((tokenId) => tokenizer.tokenBytes(tokenId))))
    } catch {
      return null
    }
  }
}

/** A grammar so ambiguous that one position has too many readings is its sender's fault, and only seen on the way. */
function refuseAmbiguity<T>(ask: () => T): T {
  try {
    return ask()
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'GRAMMAR_TOO_AMBIGUOUS')) throw cause
    throw new InferdError('invalid_parameter', 'the grammar is too ambiguous for this text', { param: 'output.format', cause })
  }
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}

/** The longest text whose UTF-8 the bytes begin with. */
function wholeCodePoints(bytes: Uint8Array): string {
  let end = bytes.length
  while (end > 0 && end > bytes.length - 4 && isContinuation(bytes[end - 1]!)) end -= 1
  if (end > 0 && bytes[end - 1]! >= 0xc0) {
    const length = bytes[end - 1]! >= 0xf0 ? 4 : bytes[end - 1]! >= 0xe0 ? 3 : 2
    end = end - 1 + length === bytes.length ? bytes.length : end - 1
  } else {
    end = bytes.length
  }
  return decoder.decode(bytes.subarray(0, end))
}
