/**
 * The blocks of one running sequence, in order of position.
 *
 *   positions   0 ........ blockSize ........ 2 * blockSize ...
 *   table       | block 7  | block 2          | block 9 (partly filled)
 *
 * Tables are made at start, one per sequence that can run, each as long as a context; a sequence borrows one while it runs.
 */
import { assert } from '#base/assert'
import type { BlockId } from './block.ts'

export class BlockTable {
  /** i32 (maxBlocks): the first numBlocks are block ids. */
  readonly blockIds: Int32Array
  private count = 0

  constructor(maxBlocks: number) {
    this.blockIds = new Int32Array(maxBlocks)
  }

  get numBlocks(): number {
    return this.count
  }

  /** Hot: per token. */
  blockAt(blockIndex: number): BlockId {
    assert(blockIndex < this.count, 'reading behind the end of a block table')
    return this.blockIds[blockIndex] as BlockId
  }

  append(blockId: BlockId): void {
    assert(this.count < this.blockIds.length, 'a block table is full')
    this.blockIds[this.count++] = blockId
  }

  replace(blockIndex: number, blockId: BlockId): void {
    assert(blockIndex < this.count, 'replacing behind the end of a block table')
    this.blockIds[blockIndex] = blockId
  }

  /** Forgets its blocks without freeing them: the caller has. */
  clear(): void {
    this.count = 0
  }
}

/** Blocks that hold numTokens tokens. */
export function blocksForTokens(numTokens: number, blockSize: number): number {
  return Math.ceil(numTokens / blockSize)
}
