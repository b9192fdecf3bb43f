/** What all requests may hold together of one thing: bytes of bodies that are read, entries of answers that are put together. */
import { assert } from '#base/assert'

export class MemoryBudget {
  private readonly max: number
  private held = 0

  constructor(max: number) {
    this.max = max
  }

  /** False when there is no room; then nothing is taken. */
  take(count: number): boolean {
    if (this.held + count > this.max) return false
    this.held += count
    return true
  }

  release(count: number): void {
    this.held -= count
    assert(this.held >= 0, 'more released than taken')
  }
}
