/**
 * A bounded queue between one producer that must not wait and one consumer that awaits: events from a step loop to a stream.
 * Items are taken at a head index; what lies before it is cut off when it is half of the list, so that each take costs O(1) on average.
 */
import { assert } from '#base/assert'

const MIN_COMPACTED_ITEMS = 64

export interface BoundedQueueOptions<T> {
  /** Most queued at a time, each item counted as `countOf` says. */
  readonly maxItems: number
  /** What one item counts for: its own size where items differ. Constant for an item; 1 when not given. */
  readonly countOf?: (item: T) => number
  /** Runs once when the consumer leaves early (break, throw, return): the place to cancel the producer. */
  readonly onReturn?: () => void
}

export class BoundedQueue<T> implements AsyncIterableIterator<T> {
  private items: T[] = []
  /** Items before it are taken. */
  private head = 0
  /** Sum of `countOf` over the items from `head`. */
  private numQueued = 0
  private readonly maxItems: number
  private readonly countOf: (item: T) => number
  private readonly onReturn: () => void
  private waiting: { resolve(result: IteratorResult<T>): void; reject(error: unknown): void } | null = null
  private ended = false
  private failure: { readonly error: unknown } | null = null

  constructor({ maxItems, countOf = () => 1, onReturn = () => {} }: BoundedQueueOptions<T>) {
    assert(maxItems > 0, 'a bounded queue needs room for one item')
    this.maxItems = maxItems
    this.countOf = countOf
    this.onReturn = onReturn
  }

  /** False when the queue is full or ended: the item was not taken, and the producer decides what that means. An empty queue takes any item. */
  push(item: T): boolean {
    if (this.ended) return false
    if (this.waiting !== null) {
      this.takeWaiting().resolve({ value: item, done: false })
      return true
    }
    const count = this.countOf(item)
    if (this.numQueued > 0 && this.numQueued + count > this.maxItems) return false
    this.numQueued += count
    this.items.push(item)
    return true
  }

  /** No more items; the consumer still gets what is queued. */
  end(): void {
    if (this.ended) return
    this.ended = true
    if (this.waiting !== null) this.takeWaiting().resolve({ value: undefined, done: true })
  }

  /** As end, but the consumer gets `error` after the queued items. */
  fail(error: unknown): void {
    if (this.ended) return
    this.ended = true
    if (this.waiting !== null) this.takeWaiting().reject(error)
    else this.failure = { error }
  }

  next(): Promise<IteratorResult<T>> {
    assert(this.waiting === null, 'a bounded queue has one consumer')
    if (this.head < this.items.length) return Promise.resolve({ value: this.take(), done: false })
    if (this.failure !== null) {
      const { error } = this.failure
      this.failure = null
      return Promise.reject(error as Error)
    }
    if (this.ended) return Promise.resolve({ value: undefined, done: true })
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject }
    })
  }

  return(): Promise<IteratorResult<T>> {
    if (!this.ended) {
      this.ended = true
      this.onReturn()
    }
    this.items = []
    this.head = 0
    this.numQueued = 0
    return Promise.resolve({ value: undefined, done: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  private take(): T {
    const item = this.items[this.head++]!
    this.numQueued -= this.countOf(item)
    if (this.head === this.items.length) {
      this.items.length = 0
      this.head = 0
    } else if (this.head >= MIN_COMPACTED_ITEMS && this.head * 2 >= this.items.length) {
      this.items.splice(0, this.head)
      this.head = 0
    }
    return item
  }

  private takeWaiting(): NonNullable<typeof this.waiting> {
    const { waiting } = this
    assert(waiting !== null, 'nobody waits')
    this.waiting = null
    return waiting
  }
}
