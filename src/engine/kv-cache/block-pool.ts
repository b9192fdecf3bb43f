/**
 * The ledger of KV memory: all blocks of the cache, made at start. A block is held by refCount tables or free, never both;
 * a free block keeps its content, findable by the prefix cache, until it is taken for something else.
 */
import { assert } from '#base/assert'
import { createBlocks } from './block.ts'
import { FreeBlockQueue } from './free-block-queue.ts'
import { PrefixCache } from './prefix-cache.ts'
import type { BlockHash, BlockId, KvBlock } from './block.ts'

export class BlockPool {
  readonly numBlocks: number
  private readonly blocks: readonly KvBlock[]
  private readonly freeQueue = new FreeBlockQueue()
  private readonly prefixCache = new PrefixCache()

  constructor(numBlocks: number) {
    assert(numBlocks >= 1, 'a pool has blocks')
    this.numBlocks = numBlocks
    this.blocks = createBlocks(numBlocks)
    for (const block of this.blocks) this.freeQueue.append(block)
  }

  /** Blocks that no table holds, cached content included. */
  get numFreeBlocks(): number {
    return this.freeQueue.numBlocks
  }

  get numCachedBlocks(): number {
    return this.prefixCache.numBlocks
  }

  /** Takes the least recently freed block for one holder; its old content is forgotten. The caller has checked numFreeBlocks. */
  allocate(): BlockId {
    const block = this.freeQueue.takeFirst()
    assert(block.refCount === 0, 'taking a block in use')
    this.prefixCache.forget(block)
    block.refCount = 1
    return block.blockId
  }

  /** Adds a holder; a free block leaves the free queue and keeps its content. */
  touch(blockId: BlockId): void {
    const block = this.block(blockId)
    if (block.refCount === 0) this.freeQueue.remove(block)
    block.refCount++
  }

  /** Drops a holder. Free a sequence's blocks tail first: the free queue keeps the order of these calls. */
  free(blockId: BlockId): void {
    const block = this.block(blockId)
    assert(block.refCount > 0, 'a block is freed twice')
    block.refCount--
    if (block.refCount === 0) this.freeQueue.append(block)
  }

  /** True when a write by one holder would be seen by another: copy first. */
  isShared(blockId: BlockId): boolean {
    return this.block(blockId).refCount > 1
  }

  /** A block may be written by its only holder, and only while no hit can find it. */
  assertWritable(blockId: BlockId): void {
    const block = this.block(blockId)
    assert(block.refCount === 1, 'writing a block that is shared or free')
    assert(block.hash === null, 'writing a block that the prefix cache offers')
  }

  refCount(blockId: BlockId): number {
    return this.block(blockId).refCount
  }

  /** Makes a full, computed block findable by its hash. */
  register(blockId: BlockId, hash: BlockHash): void {
    const block = this.block(blockId)
    assert(block.refCount > 0, 'only a held block is registered')
    this.prefixCache.register(block, hash)
  }

  /** Takes the block's content out of the prefix cache: it must not be reused (it was computed from non-finite values). */
  forget(blockId: BlockId): void {
    this.prefixCache.forget(this.block(blockId))
  }

  /** Number of leading hashes whose blocks exist, at most maxBlocks. Changes nothing. */
  countHits(hashes: readonly BlockHash[], maxBlocks: number): number {
    return this.prefixCache.countHits(hashes, maxBlocks)
  }

  /** Of the first numHits hashes, those whose block is free now: a hit on them takes a block out of the free queue. */
  countFreeHits(hashes: readonly BlockHash[], numHits: number): number {
    let numFree = 0
    for (let index = 0; index < numHits; index++) {
      if (this.findHit(hashes[index]!).refCount === 0) numFree++
    }
    return numFree
  }

  /** Holds the block that has this content. The caller has counted the hit in the same turn. */
  touchHit(hash: BlockHash): BlockId {
    const { blockId } = this.findHit(hash)
    this.touch(blockId)
    return blockId
  }

  /**
   * O(numBlocks). holders[blockId] is how many tables hold the block, counted by the caller.
   * Throws BugError unless reference counts, free queue and prefix cache agree with it.
   */
  checkInvariants(holders: Int32Array): void {
    this.freeQueue.checkInvariants()
    this.prefixCache.checkInvariants()
    let numHeld = 0
    let numCached = 0
    for (const block of this.blocks) {
      if (block.refCount !== holders[block.blockId]) {
        assert(false, `block ${block.blockId} counts ${block.refCount} holders, ${holders[block.blockId]} tables hold it`)
      }
      if (block.refCount > 0) {
        numHeld++
        assert(block.previousFree === null && block.nextFree === null, 'a held block is linked as free')
      }
      if (block.hash !== null) {
        numCached++
        assert(this.prefixCache.find(block.hash) === block, 'a registered block cannot be found')
      }
    }
    assert(numHeld + this.freeQueue.numBlocks === this.numBlocks, 'held and free blocks do not add up')
    assert(numCached === this.prefixCache.numBlocks, 'the prefix cache counts other blocks')
  }

  private block(blockId: BlockId): KvBlock {
    const block = this.blocks[blockId]
    assert(block !== undefined, 'no such block')
    return block
  }

  private findHit(hash: BlockHash): KvBlock {
    const block = this.prefixCache.find(hash)
    assert(block !== null, 'a counted hit is gone')
    return block
  }
}
