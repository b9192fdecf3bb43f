/**
 * A choice's guide behind a fence. A guide works on what a stranger asked for and what a model wrote: whatever it throws is kept
 * until the step is committed, ends its own request there, and never reaches the core. After a failure it is asked nothing more.
 */
import { assert } from '#base/assert'
import type { TokenGuide } from './token-guide.ts'

const NO_TOKENS: readonly number[] = []

export class ChoiceGuide {
  /** What the guide threw first; null = it is sound. */
  failure: { readonly cause: unknown } | null = null
  private readonly guide: TokenGuide
  private readonly vocabSize: number

  constructor(guide: TokenGuide, vocabSize: number) {
    this.guide = guide
    this.vocabSize = vocabSize
  }

  isConstrained(): boolean {
    return this.ask((guide) => guide.isConstrained, false)
  }

  /** words: all 0 before; all 0 again when the guide fails. */
  fillMask(words: Uint32Array): void {
    this.ask((guide) => guide.fillMask(words), undefined)
    if (this.failure !== null) words.fill(0)
  }

  accept(tokenId: number): void {
    this.ask((guide) => guide.accept(tokenId), undefined)
  }

  forcedTokens(maxTokens: number): readonly number[] {
    return this.ask((guide) => this.checked(guide.forcedTokens(maxTokens), maxTokens), NO_TOKENS)
  }

  isComplete(): boolean {
    return this.ask((guide) => guide.isComplete, false)
  }

  /** The executor trusts what the core knows: a token that does not exist would fail the step of all. */
  private checked(tokenIds: readonly number[], maxTokens: number): readonly number[] {
    assert(tokenIds.length <= maxTokens, 'a guide forces more tokens than it was asked for')
    for (const tokenId of tokenIds) {
      assert(Number.isInteger(tokenId) && tokenId >= 0 && tokenId < this.vocabSize, 'a guide forces a token that the vocabulary does not hold')
    }
    return tokenIds
  }

  private ask<T>(question: (guide: TokenGuide) => T, neutral: T): T {
    if (this.failure !== null) return neutral
    try {
      return question(this.guide)
    } catch (cause) {
      this.failure = { cause }
      return neutral
    }
  }
}
