/**
 * The masks of a step: one bit per token of the vocabulary and masked row. The words are allocated when rows are first wanted,
 * grow by doubling and stay.
 */
import { assert } from '#base/assert'
import type { SamplingParameters } from './sampling-parameters.ts'

export class TokenMasks {
  /** ceil(vocabSize / 32). */
  readonly maskWords: number
  private readonly vocabSize: number
  private readonly maxRows: number
  private words = new Uint32Array(0)
  /** Views of `words`, one per row that there is room for. */
  private views: readonly Uint32Array[] = []
  private numRows = 0

  constructor(limits: { readonly vocabSize: number; readonly maxRows: number }) {
    this.vocabSize = limits.vocabSize
    this.maxRows = limits.maxRows
    this.maskWords = Math.ceil(limits.vocabSize / 32)
  }

  clear(): void {
    this.numRows = 0
  }

  /** Appends a row, whose words are stale until it is filled, and returns its index. */
  addRow(): number {
    assert(this.numRows < this.maxRows, 'a step masks more rows than it may have')
    if (this.numRows === this.views.length) this.grow()
    return this.numRows++
  }

  /** u32 (numRows, maskWords): valid until the next addRow(). */
  rows(): Uint32Array {
    return this.words.subarray(0, this.numRows * this.maskWords)
  }

  /** Has `fill` set the bits of a row, which are all 0 when it is called, and clears those beyond the vocabulary. */
  fillRow(index: number, fill: (words: Uint32Array) => void): Uint32Array {
    const words = this.views[index]!
    words.fill(0)
    fill(words)
    const numTail = this.vocabSize & 31
    if (numTail !== 0) words[this.maskWords - 1]! &= (1 << numTail) - 1
    return words
  }

  private grow(): void {
    const numRows = Math.min(this.maxRows, Math.max(1, this.views.length * 2))
    const { maskWords } = this
    const words = new Uint32Array(numRows * maskWords)
    this.words = words
    this.views = Array.from({ length: numRows }, (_, row) => words.subarray(row * maskWords, (row + 1) * maskWords))
  }
}

/** Takes the stopping tokens out of a mask. Where nothing else is left that the bias allows, they stay: ending wins over minTokens. */
export function suppressStopping(words: Uint32Array, parameters: SamplingParameters): void {
  const held = parameters.suppressedTokenIds.filter((tokenId) => isAllowed(words, tokenId))
  for (const tokenId of held) words[tokenId >> 5]! &= ~(1 << (tokenId & 31))
  if (held.length === 0 || hasAllowed(words, parameters)) return
  for (const tokenId of held) words[tokenId >> 5]! |= 1 << (tokenId & 31)
}

/** Whether a mask allows a token that the bias does not forbid. */
function hasAllowed(words: Uint32Array, { bias }: SamplingParameters): boolean {
  let numForbidden = 0
  for (let entry = 0; entry < bias.tokenIds.length; entry++) {
    if (bias.values[entry] === -Infinity && isAllowed(words, bias.tokenIds[entry]!)) numForbidden++
  }
  let numAllowed = 0
  for (let index = 0; index < words.length && numAllowed <= numForbidden; index++) {
    for (let bits = words[index]!; bits !== 0 && numAllowed <= numForbidden; bits &= bits - 1) numAllowed++
  }
  return numAllowed > numForbidden
}

function isAllowed(words: Uint32Array, tokenId: number): boolean {
  return ((words[tokenId >> 5]! >>> (tokenId & 31)) & 1) === 1
}
