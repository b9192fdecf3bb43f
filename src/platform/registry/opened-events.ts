/**
 * The events of a generation whose beginning may take time and may be lost: until the first event an opening that fails may be tried
 * again, from there on the source's events are passed on untouched.
 */
import type { GenerateEvent } from '#contract/generate'

export interface EventOpening {
  /** Called when the first event is asked for, and again after each failure that is forgiven. */
  readonly open: () => Promise<AsyncIterator<GenerateEvent>>
  /** Whether a failure before the first event, the `numFailures`th, is worth another opening. Must come to an end. */
  readonly isForgiven: (error: unknown, numFailures: number) => boolean
}

export class OpenedEvents implements AsyncIterableIterator<GenerateEvent> {
  private readonly opening: EventOpening
  private source: AsyncIterator<GenerateEvent> | null = null
  private hasStarted = false
  private hasLeft = false

  constructor(opening: EventOpening) {
    this.opening = opening
  }

  /** Hot: per event. */
  next(): Promise<IteratorResult<GenerateEvent>> {
    return this.source !== null && this.hasStarted ? this.source.next() : this.first()
  }

  async return(): Promise<IteratorResult<GenerateEvent>> {
    this.hasLeft = true
    await this.source?.return?.()
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  private async first(): Promise<IteratorResult<GenerateEvent>> {
    const { isForgiven } = this.opening
    for (let numFailures = 1; ; numFailures++) {
      try {
        return await this.firstOf()
      } catch (error) {
        if (this.hasLeft || !isForgiven(error, numFailures)) throw error
      }
    }
  }

  private async firstOf(): Promise<IteratorResult<GenerateEvent>> {
    if (this.hasLeft) return { value: undefined, done: true }
    this.source = await this.opening.open()
    // Left while it was opened: nobody else ends what has just begun.
    if (this.hasLeft) return (await this.source.return?.()) ?? { value: undefined, done: true }
    const result = await this.source.next()
    this.hasStarted = true
    return result
  }
}
