/**
 * One attempt on one target, up to the moment when its answer may be shown. Until then nothing has left the server and any other
 * target may still answer; `response-start` alone is not an answer and is held back.
 */
import type { Clock } from '#base/clock'
import type { OnlineCall } from '#contract/call'
import { fromErrorRecord, InferdError, toErrorRecord, type ErrorCode } from '#contract/errors'
import { NO_USAGE, type GenerateEvent, type Usage } from '#contract/generate'
import type { CallHandler } from '#platform/online/stage'
import { errorOfFinish } from './failure-class.ts'
import type { TargetHealth } from './target-health.ts'

/** A whole answer that is held back may have so many events; from there on it is shown as it comes. */
const MAX_HELD_EVENTS = 65_536

export interface AttemptTerms {
  readonly call: OnlineCall
  readonly handler: CallHandler
  readonly health: TargetHealth
  readonly clock: Clock
  readonly firstPieceTimeoutMs: number | null
  /** The answer comes piece by piece: when its first one came says something of the target. */
  readonly isTimed: boolean
  /** True: held until it is whole, so that it can still be replaced. */
  readonly isHeldWhole: boolean
  /** Whether another target should answer instead, when this one's whole answer ends so. */
  readonly isUnwanted: (code: ErrorCode) => boolean
}

/** Invariant: `health` hears of each attempt's end exactly once. */
export class Attempt {
  readonly model: string
  /** Resolves when events may be shown; rejects with InferdError when this target gives no answer. */
  readonly opened: Promise<void>
  private readonly terms: AttemptTerms
  private readonly abort = new AbortController()
  private readonly signal: AbortSignal
  private readonly events: AsyncIterator<GenerateEvent>
  private held: GenerateEvent[] = []
  private usage: Usage = NO_USAGE
  private hasPiece = false
  private hasEnded = false

  constructor(terms: AttemptTerms, signal: AbortSignal) {
    this.terms = terms
    this.model = terms.health.model
    this.signal = AbortSignal.any([signal, this.abort.signal])
    this.events = terms.handler(terms.call, this.signal)[Symbol.asyncIterator]()
    this.opened = this.open()
  }

  /** The answer, after `opened`. A target that breaks now ends the stream: what was sent is not sent again. */
  async *rest(): AsyncGenerator<GenerateEvent, void> {
    try {
      for (const event of this.held) yield this.see(event)
      this.held = []
      for (;;) {
        const { done, value } = await this.events.next()
        if (done === true) return
        yield this.see(value)
      }
    } catch (error) {
      if (this.signal.aborted) throw error
      const record = toErrorRecord(error)
      this.end(() => this.terms.health.fail(record.code, this.nowMs))
      yield { type: 'response-error', error: record, usage: this.usage }
    } finally {
      this.giveUp('left')
    }
  }

  /** Ends it without an answer. `lost`: another attempt won; what this one has used is the operator's. */
  giveUp(reason: 'lost' | 'left'): void {
    if (reason === 'lost') this.terms.health.waste(this.usage)
    this.end(() => this.terms.health.release(this.nowMs))
    this.abort.abort(new InferdError('cancelled', 'another attempt answered'))
    void Promise.resolve(this.events.return?.()).catch(() => {})
  }

  private async open(): Promise<void> {
    const { clock, firstPieceTimeoutMs, health } = this.terms
    const startMs = clock.nowMs()
    const patience = new AbortController()
    const overdue = new Promise<never>((_, reject) => {
      const timeout = (): void => reject(new InferdError('deadline_exceeded', `the model '${this.model}' sent nothing in time`))
      if (firstPieceTimeoutMs !== null) void clock.sleep(firstPieceTimeoutMs, patience.signal).then(timeout, () => {})
      this.signal.addEventListener('abort', () => reject(this.signal.reason as Error), { once: true, signal: patience.signal })
      if (this.signal.aborted) reject(this.signal.reason as Error)
    })
    overdue.catch(() => {})
    try {
      while (!this.mayShow()) {
        const { done, value } = await Promise.race([this.events.next(), overdue])
        if (done === true) throw new InferdError('upstream_failed', `the model '${this.model}' ended without an answer`)
        this.timeFirstPiece(value, clock.nowMs() - startMs)
        this.take(value)
      }
    } catch (error) {
      if (!this.hasEnded) health.waste(this.usage)
      if (!this.signal.aborted) this.end(() => health.fail(toErrorRecord(error).code, this.nowMs))
      this.giveUp('left')
      throw error
    } finally {
      patience.abort()
    }
  }

  /** Throws what the event says instead of an answer. */
  private take(event: GenerateEvent): void {
    this.note(event)
    if (event.type === 'response-error') throw fromErrorRecord(event.error)
    if (event.type === 'choice-end' && this.terms.isHeldWhole) {
      const code = errorOfFinish(event.finishReason)
      if (code !== null && this.terms.isUnwanted(code)) throw new InferdError(code, 'another model answers instead')
    }
    this.held.push(event)
  }

  private timeFirstPiece(event: GenerateEvent, afterMs: number): void {
    if (this.hasPiece || event.type === 'response-start' || event.type === 'response-error') return
    this.hasPiece = true
    if (this.terms.isTimed) this.terms.health.times.add(afterMs)
  }

  private mayShow(): boolean {
    const last = this.held.at(-1)
    if (last === undefined || this.held.length >= MAX_HELD_EVENTS) return last !== undefined
    return this.terms.isHeldWhole ? last.type === 'response-end' : last.type !== 'response-start'
  }

  private see(event: GenerateEvent): GenerateEvent {
    this.note(event)
    if (event.type === 'response-end') this.end(() => this.terms.health.succeed(this.nowMs))
    // The last word of a target that was cut for a reason of ours.
    if (event.type === 'response-error')
      this.end(() => (this.signal.aborted ? this.terms.health.release(this.nowMs) : this.terms.health.fail(event.error.code, this.nowMs)))
    return event
  }

  private note(event: GenerateEvent): void {
    if (event.type === 'response-start') this.usage = { ...NO_USAGE, promptTokens: event.promptTokens, cachedTokens: event.cachedTokens }
    if (event.type === 'response-end' || event.type === 'response-error') this.usage = event.usage
  }

  private end(tell: () => void): void {
    if (this.hasEnded) return
    this.hasEnded = true
    tell()
  }

  private get nowMs(): number {
    return this.terms.clock.nowMs()
  }
}
