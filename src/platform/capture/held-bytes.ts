/** All bytes that capturing holds, under one bound. */
import { assert } from '#base/assert'

export class HeldBytes {
  private readonly max: number
  private readonly onChange: (numBytes: number) => void
  private numBytes = 0

  constructor(max: number, onChange: (numBytes: number) => void) {
    this.max = max
    this.onChange = onChange
  }

  /** False = there is no room, and nothing is taken. */
  take(numBytes: number): boolean {
    if (this.numBytes + numBytes > this.max) return false
    this.onChange((this.numBytes += numBytes))
    return true
  }

  release(numBytes: number): void {
    assert(numBytes <= this.numBytes, 'more released than taken')
    this.onChange((this.numBytes -= numBytes))
  }
}
