/** Growable lists of numbers without per-item objects: pieces of a text, and token ids. */
import { tooManyTokens } from './token-limit.ts'

/** [start, end) pairs over one text, ascending and disjoint. */
export class PieceList {
  count = 0
  starts: Int32Array = new Int32Array(256)
  ends: Int32Array = new Int32Array(256)
  /** Every piece becomes a token: soon after so many, push throws InferdError('context_length_exceeded'). */
  maxTokens = Infinity

  /** Hot: per word. Empty pieces are not kept. */
  push(start: number, end: number): void {
    if (end <= start) return
    if (this.count === this.starts.length) this.grow()
    this.starts[this.count] = start
    this.ends[this.count] = end
    this.count += 1
  }

  /** Forgets the pieces; keeps small buffers, frees large ones. */
  clear(): void {
    this.count = 0
    if (this.starts.length > 65_536) {
      this.starts = new Int32Array(256)
      this.ends = new Int32Array(256)
    }
  }

  private grow(): void {
    if (this.count >= this.maxTokens) throw tooManyTokens(this.maxTokens)
    const starts = new Int32Array(this.starts.length * 2)
    starts.set(this.starts)
    const ends = new Int32Array(this.ends.length * 2)
    ends.set(this.ends)
    this.starts = starts
    this.ends = ends
  }
}

export class IdList {
  count = 0
  ids: Int32Array = new Int32Array(256)

  /** Hot: per token. */
  push(tokenId: number): void {
    if (this.count === this.ids.length) this.grow(this.count + 1)
    this.ids[this.count] = tokenId
    this.count += 1
  }

  /** Hot: per word. Appends `length` ids of `source` from `offset`. */
  append(source: Int32Array, offset: number, length: number): void {
    if (this.count + length > this.ids.length) this.grow(this.count + length)
    for (let index = 0; index < length; index += 1) this.ids[this.count + index] = source[offset + index]!
    this.count += length
  }

  toArray(): number[] {
    return Array.from(this.ids.subarray(0, this.count))
  }

  private grow(needed: number): void {
    const ids = new Int32Array(Math.max(needed, this.ids.length * 2))
    ids.set(this.ids)
    this.ids = ids
  }
}
