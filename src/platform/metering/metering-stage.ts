/** Metering as the outermost stage: sees every call first and its last event last, and ends each exactly once. */
import type { OnlineCall } from '#contract/call'
import { fromErrorRecord, InferdError } from '#contract/errors'
import { type GenerateEvent, type Usage } from '#contract/generate'
import type { EmbedHandler } from '#platform/online/embed-handler'
import type { CallHandler, Stage } from '#platform/online/stage'
import { CallMeter } from './call-meter.ts'
import type { Metering } from './metering.ts'

/** How long the end of an aborted call, which has its exact usage, is waited for in the background. */
const LAST_WORD_MS = 5000
const LEFT = new InferdError('cancelled', 'the caller left the stream')

export function meteringStage(metering: Metering): Stage {
  return (next) => (call, signal) => new MeteredEvents({ metering, next, call, signal })
}

export function meteredEmbedding(metering: Metering, next: EmbedHandler): EmbedHandler {
  return async (asked, signal) => {
    const { clock, busy } = metering
    let start: { readonly mark: number; readonly startedMs: number } | null = null
    const onStart = (): void => {
      const startedMs = clock.nowMs()
      start ??= { mark: busy.begin(asked.model, startedMs), startedMs }
    }
    // One object all the way: what the call holds is known by it.
    const call = { ...asked, onStart }
    const end = (usage: Usage | null, error: unknown): void => {
      const busyMs = start === null ? 0 : busy.end(call.model, start.mark, clock.nowMs())
      const wasAnswered = usage !== null
      const times = { firstPieceMs: null, lastPieceMs: null, startedMs: wasAnswered ? (start?.startedMs ?? call.arrivedMs) : null }
      metering.finish(call, { usage: usage ?? NOTHING_USED, times, error, busyMs: wasAnswered ? busyMs : 0 })
    }
    try {
      metering.requireRoom()
      const result = await next(call, signal)
      end({ ...NOTHING_USED, ...result.usage }, null)
      return result
    } catch (error) {
      end(null, error)
      throw error
    }
  }
}

const NOTHING_USED: Usage = { promptTokens: 0, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 0, reasoningTokens: 0 }

interface MeteredParts {
  readonly metering: Metering
  readonly next: CallHandler
  readonly call: OnlineCall
  readonly signal: AbortSignal
}

class MeteredEvents implements AsyncIterableIterator<GenerateEvent> {
  private readonly parts: MeteredParts
  private readonly meter = new CallMeter()
  private inner: AsyncIterator<GenerateEvent> | null = null
  /** The model whose busy time the call shares in, and the mark of its beginning. */
  private share: { readonly model: string; readonly mark: number } | null = null
  private isOver = false
  private hasLeft = false

  constructor(parts: MeteredParts) {
    this.parts = parts
  }

  /** Hot: per event. */
  next(): Promise<IteratorResult<GenerateEvent>> {
    if (this.isOver) return DONE
    try {
      return this.iterator().next().then(this.onResult, this.onFailure)
    } catch (error) {
      return Promise.reject(this.failed(error) as Error)
    }
  }

  /** The reader leaves. An aborted call still says in the background what it has used. */
  return(): Promise<IteratorResult<GenerateEvent>> {
    if (this.hasLeft) return DONE
    this.hasLeft = true
    const { inner, parts } = this
    if (inner === null) this.isOver = true
    else if (this.isOver) inner.return?.().catch(() => {})
    else if (parts.signal.aborted) void this.hearLastWord()
    else {
      this.finish(LEFT)
      inner.return?.().catch(() => {})
    }
    return DONE
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  private iterator(): AsyncIterator<GenerateEvent> {
    if (this.inner !== null) return this.inner
    const { metering, next, call, signal } = this.parts
    metering.requireRoom()
    this.inner = next(call, signal)[Symbol.asyncIterator]()
    return this.inner
  }

  private readonly onResult = (result: IteratorResult<GenerateEvent>): IteratorResult<GenerateEvent> => {
    if (this.isOver) return result
    if (result.done === true) {
      this.finish(new InferdError('internal', 'a response ended without its terminal event'))
      return result
    }
    const event = result.value
    const { metering } = this.parts
    const isFirst = this.meter.times.firstPieceMs === null
    const isTerminal = this.meter.observe(event, metering.clock.nowMs())
    if (event.type === 'response-start') this.begin()
    if (isFirst) this.noteFirstPiece()
    if (isTerminal) this.finish(event.type === 'response-error' ? fromErrorRecord(event.error) : null)
    return result
  }

  private readonly onFailure = (error: unknown): never => {
    throw this.failed(error) as Error
  }

  private failed(error: unknown): unknown {
    this.finish(error)
    return error
  }

  private begin(): void {
    if (this.share !== null) return
    const { metering, call } = this.parts
    const model = call.report.servedBy ?? call.model
    this.share = { model, mark: metering.busy.begin(model, metering.clock.nowMs()) }
  }

  private noteFirstPiece(): void {
    const { firstPieceMs } = this.meter.times
    const { report, arrivedMs } = this.parts.call
    if (firstPieceMs !== null) report.ttftMs ??= firstPieceMs - arrivedMs
  }

  private finish(error: unknown): void {
    if (this.isOver) return
    this.isOver = true
    const { metering, call } = this.parts
    const busyMs = this.share === null ? 0 : metering.busy.end(this.share.model, this.share.mark, metering.clock.nowMs())
    metering.finish(call, { usage: this.meter.usage, times: this.meter.times, error, busyMs })
  }

  private async hearLastWord(): Promise<void> {
    const { signal, metering } = this.parts
    const over = new AbortController()
    const tooLate = metering.clock.sleep(LAST_WORD_MS, over.signal).then(
      () => DONE,
      () => DONE,
    )
    try {
      while (!this.isOver) {
        const result = await Promise.race([this.inner?.next() ?? DONE, tooLate])
        if (result.done === true) break
        const { type } = result.value
        // What was queued before the abort is read on the way; its time is past.
        if (this.meter.observe(result.value, metering.clock.nowMs()) || type === 'response-error') break
      }
    } catch {
      // The reason of the abort: nothing more is to be heard.
    }
    over.abort(LEFT)
    this.finish(signal.reason)
    this.inner?.return?.().catch(() => {})
  }
}

const DONE: Promise<IteratorReturnResult<undefined>> = Promise.resolve({ value: undefined, done: true })
