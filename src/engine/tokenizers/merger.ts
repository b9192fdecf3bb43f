/**
 * Byte-pair merging of one word: always the lowest rank, leftmost first, until nothing merges. Short words scan their few pairs; long ones use
 * a heap over a linked list, O(n log n), so that a million equal characters stay harmless.
 */
import { assert } from '#base/assert'
import type { MergeTable } from './merge-table.ts'

const MAX_SCANNED_SYMBOLS = 24
const POSITION_RANGE = 2 ** 31
const NO_RANK = 0x7fffffff
/** Buffers larger than this are given back after the word. */
const MAX_KEPT_SYMBOLS = 65_536

export class Merger {
  /** The word's symbols: written by the caller from index 0, merged in place. */
  symbols: Int32Array = new Int32Array(1024)
  /** Heap operations and scans so far: the work that tests bound. */
  work = 0
  private readonly table: MergeTable
  private readonly ranks = new Int32Array(MAX_SCANNED_SYMBOLS)
  private readonly merged = new Int32Array(MAX_SCANNED_SYMBOLS)
  private previous: Int32Array = new Int32Array(0)
  private next: Int32Array = new Int32Array(0)
  private heap: Float64Array = new Float64Array(0)
  private heapSize = 0

  constructor(table: MergeTable) {
    this.table = table
  }

  /** Makes room for `numSymbols` in `symbols`; the content is lost. */
  reserve(numSymbols: number): void {
    if (this.symbols.length < numSymbols) this.symbols = new Int32Array(Math.max(numSymbols, this.symbols.length * 2))
  }

  /** Merges symbols[0, count) in place and returns how many are left. */
  merge(count: number): number {
    if (count <= MAX_SCANNED_SYMBOLS) return this.mergeByScan(count)
    const left = this.mergeByHeap(count)
    if (this.next.length > MAX_KEPT_SYMBOLS) {
      this.symbols = this.symbols.slice(0, Math.max(left, 1024))
      this.previous = new Int32Array(0)
      this.next = new Int32Array(0)
      this.heap = new Float64Array(0)
    }
    return left
  }

  private mergeByScan(count: number): number {
    const { symbols, ranks, merged } = this
    for (let index = 0; index + 1 < count; index += 1) this.lookUp(index)
    for (;;) {
      let best = -1
      let bestRank = NO_RANK
      for (let index = 0; index + 1 < count; index += 1) {
        if (ranks[index]! < bestRank) {
          bestRank = ranks[index]!
          best = index
        }
      }
      this.work += count
      if (best < 0) return count
      symbols[best] = merged[best]!
      count -= 1
      for (let index = best + 1; index < count; index += 1) {
        symbols[index] = symbols[index + 1]!
        ranks[index] = ranks[index + 1]!
        merged[index] = merged[index + 1]!
      }
      if (best > 0) this.lookUp(best - 1)
      if (best + 1 < count) this.lookUp(best)
    }
  }

  private lookUp(index: number): void {
    const handle = this.table.find(this.symbols[index]!, this.symbols[index + 1]!)
    this.ranks[index] = handle < 0 ? NO_RANK : this.table.rankAt(handle)
    this.merged[index] = handle < 0 ? -1 : this.table.mergedAt(handle)
  }

  private mergeByHeap(count: number): number {
    this.prepareHeap(count)
    const { symbols, previous, next } = this
    while (this.heapSize > 0) {
      const key = this.popSmallest()
      const rank = Math.floor(key / POSITION_RANGE)
      const position = key - rank * POSITION_RANGE
      const right = next[position]!
      if (symbols[position]! < 0 || right < 0) continue
      const handle = this.table.find(symbols[position]!, symbols[right]!)
      // The pair at this position may have changed since it was queued.
      if (handle < 0 || this.table.rankAt(handle) !== rank) continue
      symbols[position] = this.table.mergedAt(handle)
      symbols[right] = -1
      const afterRight = next[right]!
      next[position] = afterRight
      if (afterRight >= 0) previous[afterRight] = position
      if (previous[position]! >= 0) this.queuePair(previous[position]!, position)
      if (afterRight >= 0) this.queuePair(position, afterRight)
    }
    let numLeft = 0
    for (let position = 0; position >= 0; position = next[position]!) symbols[numLeft++] = symbols[position]!
    return numLeft
  }

  private prepareHeap(count: number): void {
    if (this.next.length < count) {
      const capacity = Math.max(count, this.next.length * 2)
      this.previous = new Int32Array(capacity)
      this.next = new Int32Array(capacity)
      this.heap = new Float64Array(capacity * 3)
    }
    this.heapSize = 0
    for (let position = 0; position < count; position += 1) {
      this.previous[position] = position - 1
      this.next[position] = position + 1 < count ? position + 1 : -1
    }
    for (let position = 0; position + 1 < count; position += 1) this.queuePair(position, position + 1)
  }

  private queuePair(left: number, right: number): void {
    const handle = this.table.find(this.symbols[left]!, this.symbols[right]!)
    if (handle < 0) return
    assert(this.heapSize < this.heap.length, 'merge heap overflow')
    const { heap } = this
    const key = this.table.rankAt(handle) * POSITION_RANGE + left
    let child = this.heapSize
    this.heapSize += 1
    while (child > 0) {
      const parent = (child - 1) >> 1
      this.work += 1
      if (heap[parent]! <= key) break
      heap[child] = heap[parent]!
      child = parent
    }
    heap[child] = key
  }

  private popSmallest(): number {
    const { heap } = this
    const smallest = heap[0]!
    this.heapSize -= 1
    const size = this.heapSize
    const moved = heap[size]!
    let parent = 0
    for (;;) {
      let child = parent * 2 + 1
      if (child >= size) break
      this.work += 1
      if (child + 1 < size && heap[child + 1]! < heap[child]!) child += 1
      if (heap[child]! >= moved) break
      heap[parent] = heap[child]!
      parent = child
    }
    heap[parent] = moved
    return smallest
  }
}
