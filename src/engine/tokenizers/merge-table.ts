/**
 * Which two symbols merge into which token, and how early: an open-addressing table over (left, right). Built from strangers' files, so
 * probe chains are bounded: merges that were chosen to collide are refused, not served slowly.
 */
import { invalidTokenizer } from './vocabulary.ts'

/** Ranks and positions share one float64 key in the merge heap: 22 + 31 bits. */
export const MAX_MERGES = 4_194_304
const MAX_PROBES = 4096
const NUM_FIELDS = 4

export class MergeTable {
  /** (left, right, rank, merged) per slot; left is -1 in a free one. */
  private readonly slots: Int32Array
  private readonly mask: number

  /** `capacity`: how many pairs will be added at most. */
  constructor(capacity: number) {
    let numSlots = 16
    while (numSlots < capacity * 2) numSlots *= 2
    this.mask = numSlots - 1
    this.slots = new Int32Array(numSlots * NUM_FIELDS).fill(-1)
  }

  /** Keeps the lower rank when the pair is there already. Throws InferdError('invalid_model_file') on degenerate input. */
  add(pair: { readonly left: number; readonly right: number; readonly rank: number; readonly merged: number }): void {
    const { slots, mask } = this
    let slot = hashPair(pair.left, pair.right) & mask
    for (let probe = 0; probe < MAX_PROBES; probe += 1) {
      const base = slot * NUM_FIELDS
      if (slots[base] === -1) {
        slots[base] = pair.left
        slots[base + 1] = pair.right
        slots[base + 2] = pair.rank
        slots[base + 3] = pair.merged
        return
      }
      if (slots[base] === pair.left && slots[base + 1] === pair.right) {
        if (pair.rank < slots[base + 2]!) {
          slots[base + 2] = pair.rank
          slots[base + 3] = pair.merged
        }
        return
      }
      slot = (slot + 1) & mask
    }
    throw invalidTokenizer('merges', 'collide beyond reason')
  }

  /** Hot: per pair of symbols. A handle for rankAt and mergedAt, or -1. */
  find(left: number, right: number): number {
    const { slots, mask } = this
    let slot = hashPair(left, right) & mask
    for (;;) {
      const base = slot * NUM_FIELDS
      const here = slots[base]!
      if (here === left && slots[base + 1] === right) return base
      if (here === -1) return -1
      slot = (slot + 1) & mask
    }
  }

  rankAt(handle: number): number {
    return this.slots[handle + 2]!
  }

  mergedAt(handle: number): number {
    return this.slots[handle + 3]!
  }
}

function hashPair(left: number, right: number): number {
  let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}
