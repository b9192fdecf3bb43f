/**
 * The tokens of one choice with their counts, kept up token by token, so that penalties cost a step only the distinct tokens
 * and never a walk over the text.
 */
export class TokenCounts {
  private readonly indexByToken = new Map<number, number>()
  /** i32: the first numEntries are distinct token ids in order of first sight. */
  tokenIds = new Int32Array(64)
  /** i32: times the token stands in the output; 0 = only in the prompt. */
  counts = new Int32Array(64)
  numEntries = 0

  addPromptToken(tokenId: number): void {
    this.entryOf(tokenId)
  }

  /** Hot: per token. */
  addOutputToken(tokenId: number): void {
    const index = this.entryOf(tokenId)
    this.counts[index] = this.counts[index]! + 1
  }

  private entryOf(tokenId: number): number {
    const known = this.indexByToken.get(tokenId)
    if (known !== undefined) return known
    const index = this.numEntries++
    if (index === this.tokenIds.length) this.grow()
    this.tokenIds[index] = tokenId
    this.indexByToken.set(tokenId, index)
    return index
  }

  private grow(): void {
    const { tokenIds, counts } = this
    this.tokenIds = new Int32Array(tokenIds.length * 2)
    this.tokenIds.set(tokenIds)
    this.counts = new Int32Array(counts.length * 2)
    this.counts.set(counts)
  }
}
