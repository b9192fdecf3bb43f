/**
 * A KV cache that remembers who was written instead of keys and values: per slot the position, the token and a hash of the
 * whole prefix up to it. Before anything is sampled, every sequence of the step is read back through its block table; a
 * missing, moved, stale or foreign entry is a BugError. This is what finds faults of the scheduler and of the block pool.
 *
 *   hash(-1) = ROOT; hash(p) = mix32(hash(p - 1) + mix32(token(p) + 1))
 */
import { assert, BugError } from '#base/assert'
import { mix32 } from '#engine/sampling/draw'
import type { StepBatch } from '../kernels.ts'

/** The hash of the empty prefix. */
export const ROOT_HASH = 0x9e3779b9

/** The hash of a prefix that is one token longer. */
export function extendHash(prefixHash: number, tokenId: number): number {
  return mix32((prefixHash + mix32(tokenId + 1)) >>> 0)
}

export class NullKvCache {
  readonly blockSize: number
  readonly numBytes: number
  private readonly numBlocks: number
  /** By slot: i32, -1 where nothing was ever written. */
  private readonly positions: Int32Array
  private readonly tokenIds: Int32Array
  private readonly hashes: Uint32Array
  /** By slot: 1 from the write of a step until the first reader of the same step fills in the hash. */
  private readonly isPending: Uint8Array

  constructor({ numBlocks, blockSize }: { readonly numBlocks: number; readonly blockSize: number }) {
    const numSlots = numBlocks * blockSize
    this.numBlocks = numBlocks
    this.blockSize = blockSize
    this.positions = new Int32Array(numSlots).fill(-1)
    this.tokenIds = new Int32Array(numSlots)
    this.hashes = new Uint32Array(numSlots)
    this.isPending = new Uint8Array(numSlots)
    this.numBytes = numSlots * 13
  }

  /** Hot: per token; messages are worded only when something is wrong. Writes the step's tokens, then reads every
   *  sequence back. As in real kernels, all writes come before all reads. */
  runStep(batch: StepBatch): void {
    for (let sequence = 0; sequence < batch.numSequences; sequence++) this.write(batch, sequence)
    for (let sequence = 0; sequence < batch.numSequences; sequence++) this.verify(batch, sequence)
  }

  /** The hash of the prefix that ends in the slot. */
  hashAt(slot: number): number {
    return this.hashes[slot]!
  }

  copyBlocks(pairs: Int32Array): void {
    assert(pairs.length % 2 === 0, 'block copies come in pairs')
    for (let i = 0; i < pairs.length; i += 2) {
      const [from, to] = [pairs[i]!, pairs[i + 1]!]
      assert(this.isBlock(from) && this.isBlock(to), `copy of block ${from} to ${to}, of ${this.numBlocks}`)
      for (const column of [this.positions, this.tokenIds, this.hashes])
        column.copyWithin(to * this.blockSize, from * this.blockSize, (from + 1) * this.blockSize)
    }
  }

  private write(batch: StepBatch, sequence: number): void {
    const start = batch.sequenceStarts[sequence]!
    const end = batch.sequenceStarts[sequence + 1]!
    const contextLength = batch.contextLengths[sequence]!
    assert(end > start, `sequence ${sequence} has no token in the step`)
    const numTableBlocks = batch.blockTableStarts[sequence + 1]! - batch.blockTableStarts[sequence]!
    assert(numTableBlocks * this.blockSize >= contextLength, `sequence ${sequence} has ${numTableBlocks} blocks for ${contextLength} tokens`)
    for (let token = start; token < end; token++) {
      const position = batch.positions[token]!
      if (position !== contextLength - (end - token))
        throw new BugError(`token row ${token} has position ${position}, its sequence has ${contextLength} tokens`)
      const slot = this.slotOf(batch, sequence, position)
      if (batch.slotMapping[token] !== slot)
        throw new BugError(`token row ${token} is written to slot ${batch.slotMapping[token]}, its block table says ${slot}`)
      if (this.isPending[slot] === 1) throw new BugError(`slot ${slot} is written twice in one step`)
      this.positions[slot] = position
      this.tokenIds[slot] = batch.tokenIds[token]!
      this.isPending[slot] = 1
    }
  }

  private verify(batch: StepBatch, sequence: number): void {
    const tableStart = batch.blockTableStarts[sequence]!
    const contextLength = batch.contextLengths[sequence]!
    let hash = ROOT_HASH
    for (let start = 0; start < contextLength; start += this.blockSize) {
      const firstSlot = this.checkedBlock(batch, sequence, tableStart + start / this.blockSize) * this.blockSize
      hash = this.verifyBlock({ sequence, firstSlot, start, end: Math.min(contextLength, start + this.blockSize) }, hash)
    }
  }

  /** Takes and returns the running hash. Fills in the hashes of this step's writes. */
  private verifyBlock({ sequence, firstSlot, start, end }: BlockRange, prefixHash: number): number {
    let hash = prefixHash
    for (let position = start; position < end; position++) {
      const slot = firstSlot + position - start
      if (this.positions[slot] !== position) throw new BugError(wrongPosition(sequence, position, slot, this.positions[slot]!))
      hash = extendHash(hash, this.tokenIds[slot]!)
      if (this.isPending[slot] === 1) {
        this.hashes[slot] = hash
        this.isPending[slot] = 0
      }
      if (this.hashes[slot] !== hash)
        throw new BugError(`sequence ${sequence}: slot ${slot} (position ${position}) was computed behind another prefix`)
    }
    return hash
  }

  private slotOf(batch: StepBatch, sequence: number, position: number): number {
    const tableIndex = batch.blockTableStarts[sequence]! + Math.floor(position / this.blockSize)
    return this.checkedBlock(batch, sequence, tableIndex) * this.blockSize + (position % this.blockSize)
  }

  private checkedBlock(batch: StepBatch, sequence: number, tableIndex: number): number {
    const block = batch.blockTables[tableIndex]!
    if (!this.isBlock(block)) throw new BugError(`sequence ${sequence} uses block ${block}, of ${this.numBlocks}`)
    return block
  }

  private isBlock(block: number): boolean {
    return Number.isInteger(block) && block >= 0 && block < this.numBlocks
  }
}

/** Positions [start, end) of one block. */
interface BlockRange {
  readonly sequence: number
  readonly firstSlot: number
  readonly start: number
  readonly end: number
}

function wrongPosition(sequence: number, position: number, slot: number, found: number): string {
  return `sequence ${sequence}: position ${position} should be in slot ${slot}, which holds ${found}`
}
