/** Events of a call that tell once when it is over: at the last one, at a failure, or when its reader leaves. */
import type { GenerateEvent } from '#contract/generate'

export class CountedEvents implements AsyncIterator<GenerateEvent> {
  private readonly source: AsyncIterator<GenerateEvent>
  private onEnd: (() => void) | null

  constructor(source: AsyncIterator<GenerateEvent>, onEnd: () => void) {
    this.source = source
    this.onEnd = onEnd
  }

  /** Hot: per event. */
  next(): Promise<IteratorResult<GenerateEvent>> {
    return this.source.next().then(this.onResult, this.onFailure)
  }

  async return(): Promise<IteratorResult<GenerateEvent>> {
    this.end()
    await this.source.return?.()
    return { value: undefined, done: true }
  }

  private readonly onResult = (result: IteratorResult<GenerateEvent>): IteratorResult<GenerateEvent> => {
    if (result.done === true || result.value.type === 'response-end' || result.value.type === 'response-error') this.end()
    return result
  }

  private readonly onFailure = (error: unknown): never => {
    this.end()
    throw error as Error
  }

  private end(): void {
    this.onEnd?.()
    this.onEnd = null
  }
}
