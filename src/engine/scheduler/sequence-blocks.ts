/**
 * The one writer of block tables: which sequence holds which blocks of the pool. It knows when blocks are shared, and copies
 * one before it is written. A sequence gets the blocks of all its known tokens when it is admitted, and further ones step by
 * step for the tokens that its steps append.
 */
import { assert } from '#base/assert'
import { BlockPool } from '#engine/kv-cache/block-pool'
import { BlockTable, blocksForTokens } from '#engine/kv-cache/block-table'
import type { Sequence } from './sequence.ts'
import type { StepPlan } from './step-plan.ts'

interface SequenceBlocksOptions {
  readonly numBlocks: number
  readonly blockSize: number
  readonly maxSequences: number
  /** Tokens that one sequence can hold. */
  readonly maxSequenceTokens: number
  readonly enablePrefixCache: boolean
}

export class SequenceBlocks {
  readonly pool: BlockPool
  private readonly blockSize: number
  private readonly enablePrefixCache: boolean
  private readonly freeTables: BlockTable[]
  private readonly maxSequences: number
  /** Scratch of checkInvariants: i32 (numBlocks). */
  private readonly holders: Int32Array

  constructor(options: SequenceBlocksOptions) {
    this.pool = new BlockPool(options.numBlocks)
    this.blockSize = options.blockSize
    this.enablePrefixCache = options.enablePrefixCache
    this.maxSequences = options.maxSequences
    const maxBlocks = blocksForTokens(options.maxSequenceTokens, options.blockSize)
    this.freeTables = Array.from({ length: options.maxSequences }, () => new BlockTable(maxBlocks))
    this.holders = new Int32Array(options.numBlocks)
  }

  /** Free blocks that admission would take now. Changes nothing but the sequence's remembered hashes. */
  countAdmissionBlocks(sequence: Sequence): number {
    const numHits = this.countHits(sequence)
    const numHitsFree = this.pool.countFreeHits(sequence.blockHashes, numHits)
    return blocksForTokens(sequence.numKnownTokens, this.blockSize) - numHits + numHitsFree
  }

  /** Gives the sequence blocks for all its known tokens, the longest cached prefix among them; sets numComputedTokens to what that covers. */
  admit(sequence: Sequence): void {
    assert(sequence.table === null && sequence.numComputedTokens === 0, 'an admitted sequence holds nothing yet')
    const numHits = this.countHits(sequence)
    const numBlocks = blocksForTokens(sequence.numKnownTokens, this.blockSize)
    const table = this.takeTable()
    // Hits first: taking new blocks before could evict the very blocks that were counted.
    for (let index = 0; index < numHits; index++) table.append(this.pool.touchHit(sequence.blockHashes[index]!))
    for (let index = numHits; index < numBlocks; index++) table.append(this.pool.allocate())
    sequence.table = table
    sequence.numComputedTokens = numHits * this.blockSize
    sequence.numRegisteredBlocks = numHits
  }

  /** Blocks that must be taken before all of the sequence's pending tokens can be computed: those behind its table, and one for a shared block. */
  countMissing(sequence: Sequence): number {
    const { blockSize } = this
    const table = sequence.table!
    const { numKnownTokens, numComputedTokens } = sequence
    const numHeldTokens = table.numBlocks * blockSize
    const numBehind = numKnownTokens <= numHeldTokens ? 0 : blocksForTokens(numKnownTokens - numHeldTokens, blockSize)
    if (numComputedTokens >= numHeldTokens) return numBehind
    return numBehind + (this.pool.isShared(table.blockAt(Math.floor(numComputedTokens / blockSize))) ? 1 : 0)
  }

  /** Makes the blocks of the next numTokens tokens exist and be writable; copies go into the plan. */
  prepareWrite(sequence: Sequence, numTokens: number, plan: StepPlan): void {
    const { pool, blockSize } = this
    const table = sequence.table!
    const firstIndex = Math.floor(sequence.numComputedTokens / blockSize)
    const lastIndex = Math.floor((sequence.numComputedTokens + numTokens - 1) / blockSize)
    if (firstIndex < table.numBlocks) {
      const blockId = table.blockAt(firstIndex)
      if (pool.isShared(blockId)) {
        const copyId = pool.allocate()
        plan.addCopy(blockId, copyId)
        table.replace(firstIndex, copyId)
        pool.free(blockId)
      }
    }
    while (table.numBlocks <= lastIndex) table.append(pool.allocate())
    for (let index = firstIndex; index <= lastIndex; index++) pool.assertWritable(table.blockAt(index))
  }

  /** Lets `to` start with all blocks of `from`. The partly filled last one is copied by whoever writes it first. */
  fork(from: Sequence, to: Sequence): void {
    const source = from.table!
    const table = this.takeTable()
    for (let index = 0; index < source.numBlocks; index++) {
      const blockId = source.blockAt(index)
      this.pool.touch(blockId)
      table.append(blockId)
    }
    to.table = table
    to.numComputedTokens = from.numComputedTokens
    to.numRegisteredBlocks = from.numRegisteredBlocks
    to.blockHashes = from.blockHashes.slice()
  }

  /** Offers the blocks that are full now to the prefix cache. Called after the step that computed them. */
  registerComputed(sequence: Sequence): void {
    const numFull = Math.floor(sequence.numComputedTokens / this.blockSize)
    if (!this.enablePrefixCache || numFull === sequence.numRegisteredBlocks) return
    const hashes = sequence.hashBlocks(numFull, this.blockSize)
    const table = sequence.table!
    for (let index = sequence.numRegisteredBlocks; index < numFull; index++) this.pool.register(table.blockAt(index), hashes[index]!)
    sequence.numRegisteredBlocks = numFull
  }

  /** Takes the content of its blocks out of the prefix cache: nobody may hit what led to non-finite values. */
  forget(sequence: Sequence): void {
    const table = sequence.table!
    for (let index = 0; index < table.numBlocks; index++) this.pool.forget(table.blockAt(index))
  }

  /** Frees its blocks, tail before head (free-block-queue.ts, invariant 3), and forgets what was computed. */
  release(sequence: Sequence): void {
    const table = sequence.table!
    for (let index = table.numBlocks - 1; index >= 0; index--) this.pool.free(table.blockAt(index))
    table.clear()
    this.freeTables.push(table)
    sequence.table = null
    sequence.numComputedTokens = 0
    sequence.numRegisteredBlocks = 0
  }

  /** O(numBlocks + blocks held). Throws BugError unless the tables of `running` are exactly the pool's holders. */
  checkInvariants(running: readonly Sequence[]): void {
    this.holders.fill(0)
    for (const sequence of running) {
      const table = sequence.table
      if (table === null) {
        assert(false, 'a running sequence has no block table')
        continue
      }
      const numNeeded = blocksForTokens(sequence.numComputedTokens, this.blockSize)
      assert(table.numBlocks >= numNeeded, 'computed tokens without a block')
      assert(table.numBlocks <= blocksForTokens(sequence.numKnownTokens, this.blockSize), 'blocks without tokens')
      for (let index = 0; index < table.numBlocks; index++) {
        const blockId = table.blockAt(index)
        this.holders[blockId] = this.holders[blockId]! + 1
      }
    }
    assert(running.length + this.freeTables.length === this.maxSequences, 'block tables were lost')
    this.pool.checkInvariants(this.holders)
  }

  private takeTable(): BlockTable {
    const table = this.freeTables.pop()
    assert(table !== undefined, 'more sequences run than there are block tables')
    return table
  }

  private countHits(sequence: Sequence): number {
    // Embeddings need the hidden state of every token, and a hit has none.
    if (!this.enablePrefixCache || sequence.isEmbed) return 0
    // The last known token is computed even when its block is cached: sampling needs its logits. So hits end before it, on a
    // block border, and what the sequence then writes lies behind every shared block.
    const maxHits = Math.floor((sequence.numKnownTokens - 1) / this.blockSize)
    return this.pool.countHits(sequence.hashBlocks(maxHits, this.blockSize), maxHits)
  }
}
