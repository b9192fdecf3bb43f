/** The events of one answer as its bytes come: a piece of many events is decoded once, and each event then costs one promise. */
import { InferdError, toErrorRecord } from '#contract/errors'
import type { GenerateEvent } from '#contract/generate'
import type { AnswerDecoder } from './upstream-dialect.ts'

export interface AnswerSource {
  readonly decoder: AnswerDecoder
  /** Throws InferdError; rejects with the signal's reason when it aborts. */
  readonly pieces: AsyncIterator<Uint8Array>
  /** Once, when nothing more is read. */
  readonly onEnd: () => void
}

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true }

/** Invariant: events from `numGiven` on are still to be given; the source is open until it has ended, failed or was left. */
export class UpstreamAnswer implements AsyncIterableIterator<GenerateEvent> {
  /** Called when the first event is asked for. */
  private readonly begin: () => AnswerSource
  private readonly signal: AbortSignal
  private source: AnswerSource | null = null
  private events: readonly GenerateEvent[] = []
  private numGiven = 0
  private hasStarted = false
  private isOver = false

  constructor(begin: () => AnswerSource, signal: AbortSignal) {
    this.begin = begin
    this.signal = signal
  }

  /** Hot: per event. */
  next(): Promise<IteratorResult<GenerateEvent>> {
    const event = this.events[this.numGiven]
    if (event === undefined) return this.read()
    this.numGiven++
    return Promise.resolve({ value: event, done: false })
  }

  async return(): Promise<IteratorResult<GenerateEvent>> {
    this.give([])
    if (this.isOver) return DONE
    this.end()
    await this.source?.pieces.return?.()
    return DONE
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  private async read(): Promise<IteratorResult<GenerateEvent>> {
    while (!this.isOver && this.events[this.numGiven] === undefined) await this.readPiece()
    const event = this.events[this.numGiven]
    if (event === undefined) return DONE
    this.numGiven++
    return { value: event, done: false }
  }

  private async readPiece(): Promise<void> {
    const { decoder, pieces } = this.open()
    try {
      const piece = await pieces.next()
      if (this.isOver) return
      this.give(piece.done === true ? decoder.end() : decoder.push(piece.value))
      if (piece.done === true) this.end()
    } catch (error) {
      if (this.isOver) return
      this.end()
      // The decoder may have thrown: what it was fed with is not read to its end.
      pieces.return?.().catch(() => {})
      this.give(this.lastEvents(decoder, error))
    }
  }

  private open(): AnswerSource {
    if (this.source !== null) return this.source
    try {
      return (this.source = this.begin())
    } catch (error) {
      this.isOver = true
      throw error
    }
  }

  /** What the answer ends with when it fails with `error`. Throws it where nothing was answered. */
  private lastEvents(decoder: AnswerDecoder, error: unknown): readonly GenerateEvent[] {
    const { signal, hasStarted } = this
    if (signal.aborted) {
      const { toldUsage } = decoder
      if (toldUsage === null || !hasStarted || !(signal.reason instanceof InferdError)) throw error
      return [{ type: 'response-error', error: toErrorRecord(signal.reason), usage: toldUsage }]
    }
    // Bytes that came in one piece with the failure count as if they had come before it.
    const last = decoder.drain()
    if (!hasStarted && last.length === 0) throw error
    return [...last, { type: 'response-error', error: toErrorRecord(error), usage: decoder.usageSoFar }]
  }

  private give(events: readonly GenerateEvent[]): void {
    this.events = events
    this.numGiven = 0
    if (events.length > 0) this.hasStarted = true
  }

  private end(): void {
    if (this.isOver) return
    this.isOver = true
    this.source?.onEnd()
  }
}
