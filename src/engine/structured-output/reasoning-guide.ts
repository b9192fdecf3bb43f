/**
 * Ends a choice's reasoning after a number of tokens: from then on only the closing mark may come, token by token. What follows is
 * the answer's own matter. May wrap the guide of a grammar, whose text includes the reasoning.
 */
import { assert } from '#base/assert'
import type { TokenGuide } from '#engine/scheduler/token-guide'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import type { ReasoningSpec } from './output-spec.ts'

/** Of the text's last bytes, so many are kept to find a mark that tokens have cut. */
const MAX_TAIL_LENGTH = 256
const FIRST_OF_UTF8 = 'latin1'

export interface ReasoningGuideParts {
  readonly spec: ReasoningSpec
  /** Tokens of reasoning, marks included, before the closing mark is forced. At least 0. */
  readonly budgetTokens: number
  readonly tokenizer: Tokenizer
  readonly inner: TokenGuide | null
}

export class ReasoningGuide implements TokenGuide {
  private readonly parts: ReasoningGuideParts
  private readonly open: string
  private readonly close: string
  private readonly closeTokenIds: readonly number[]
  private state: 'before' | 'inside' | 'after'
  private numTokens = 0
  /** Bytes as latin-1, from where a mark may begin. */
  private tail = ''
  /** Continuation bytes that the last code point still wants. */
  private numMissingBytes = 0
  /** Closing tokens that were forced so far; null = not closing. */
  private numClosed: number | null = null

  constructor(parts: ReasoningGuideParts) {
    this.parts = parts
    const { spec, tokenizer } = parts
    this.open = Buffer.from(spec.open).toString(FIRST_OF_UTF8)
    this.close = Buffer.from(spec.close).toString(FIRST_OF_UTF8)
    this.closeTokenIds = tokenizer.encode(spec.close, { parseSpecial: true, addSpecial: false })
    this.state = spec.start === 'inside' ? 'inside' : 'before'
  }

  get isConstrained(): boolean {
    return this.mustClose() || (this.parts.inner?.isConstrained ?? false)
  }

  get isComplete(): boolean {
    return this.parts.inner?.isComplete ?? false
  }

  fillMask(words: Uint32Array): void {
    if (!this.mustClose()) {
      assert(this.parts.inner !== null, 'nothing to hold a free choice to')
      this.parts.inner.fillMask(words)
      return
    }
    const tokenId = this.closeTokenIds[this.numClosed ?? 0]!
    words[tokenId >> 5]! |= 1 << (tokenId & 31)
  }

  accept(tokenId: number): void {
    this.parts.inner?.accept(tokenId)
    if (this.state === 'after') return
    if (this.mustClose()) this.numClosed = (this.numClosed ?? 0) + 1
    this.read(tokenId)
    if (this.state === 'inside') this.numTokens += 1
    if (this.numClosed === this.closeTokenIds.length) this.state = 'after'
  }

  forcedTokens(maxTokens: number): readonly number[] {
    return this.mustClose() ? [] : (this.parts.inner?.forcedTokens(maxTokens) ?? [])
  }

  /** A code point that is not whole yet is let through first: a grammar would not take the mark inside of it. */
  private mustClose(): boolean {
    if (this.state !== 'inside') return false
    return this.numClosed !== null || (this.numTokens >= this.parts.budgetTokens && this.numMissingBytes === 0)
  }

  private read(tokenId: number): void {
    const { spec, tokenizer } = this.parts
    if (tokenId === spec.markTokens[spec.close]) {
      this.state = 'after'
      return
    }
    if (tokenId === spec.markTokens[spec.open]) {
      this.enter()
      return
    }
    const bytes = tokenizer.tokenBytes(tokenId)
    this.numMissingBytes = missingAfter(bytes, this.numMissingBytes)
    this.tail += Buffer.from(bytes).toString(FIRST_OF_UTF8)
    if (this.state === 'before') this.readBefore()
    if (this.state === 'inside') this.readInside()
  }

  private readBefore(): void {
    const text = this.tail.trimStart()
    if (text.startsWith(this.open)) {
      this.enter()
      this.tail = text.slice(this.open.length)
    } else if (!this.open.startsWith(text)) {
      this.state = 'after'
    }
  }

  private enter(): void {
    this.state = 'inside'
    this.tail = ''
  }

  private readInside(): void {
    if (this.tail.includes(this.close)) this.state = 'after'
    else if (this.tail.length > MAX_TAIL_LENGTH) this.tail = this.tail.slice(-this.close.length)
  }
}

/** Continuation bytes that are missing after `bytes`, when `missing` were before. */
function missingAfter(bytes: Uint8Array, missing: number): number {
  let left = missing
  for (const byte of bytes) {
    if (byte >= 0xf0) left = 3
    else if (byte >= 0xe0) left = 2
    else if (byte >= 0xc0) left = 1
    else left = byte >= 0x80 ? Math.max(0, left - 1) : 0
  }
  return left
}
