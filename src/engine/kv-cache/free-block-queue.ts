/**
 * Free blocks in the order in which they are taken, which is the order in which cached content is lost. An array would do but
 * for one thing: a prefix hit takes a block out of the middle, so the queue is linked through the blocks and removal is O(1).
 *
 * Invariants
 *   1. A block is in the queue if and only if its refCount is 0.
 *   2. The head is the least recently freed block.
 *   3. Blocks freed together (one sequence) stand tail before head, because a chain without its head can never be hit:
 *      a shared prefix outlives what followed it.
 *   4. Links of a block outside the queue are null. Nothing is allocated after construction.
 */
import { assert } from '#base/assert'
import type { KvBlock } from './block.ts'

export class FreeBlockQueue {
  private head: KvBlock | null = null
  private tail: KvBlock | null = null
  private count = 0

  get numBlocks(): number {
    return this.count
  }

  /** Takes the least recently freed block. The caller has checked that there is one. */
  takeFirst(): KvBlock {
    const block = this.head
    assert(block !== null, 'no free block left')
    this.remove(block)
    return block
  }

  /** Unlinks a block from anywhere in the queue. */
  remove(block: KvBlock): void {
    assert(block === this.head || block.previousFree !== null, 'the block is not in the free queue')
    if (block.previousFree === null) this.head = block.nextFree
    else block.previousFree.nextFree = block.nextFree
    if (block.nextFree === null) this.tail = block.previousFree
    else block.nextFree.previousFree = block.previousFree
    block.previousFree = null
    block.nextFree = null
    this.count--
  }

  append(block: KvBlock): void {
    assert(block !== this.head && block.previousFree === null, 'the block is in the free queue already')
    block.previousFree = this.tail
    if (this.tail === null) this.head = block
    else this.tail.nextFree = block
    this.tail = block
    this.count++
  }

  /** Head first. For tests and checks. */
  *[Symbol.iterator](): Generator<KvBlock> {
    for (let block = this.head; block !== null; block = block.nextFree) yield block
  }

  /** O(numBlocks). Throws BugError unless the links agree with each other and with the count. */
  checkInvariants(): void {
    let previous: KvBlock | null = null
    let seen = 0
    for (const block of this) {
      assert(block.previousFree === previous, 'links of the free queue disagree')
      assert(block.refCount === 0, 'a held block is in the free queue')
      assert(++seen <= this.count, 'the free queue is longer than its count')
      previous = block
    }
    assert(seen === this.count && this.tail === previous, 'the free queue is shorter than its count')
  }
}
