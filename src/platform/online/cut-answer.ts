/**
 * An answer that a stage may cut before its end and that still says what it has used: the model is stopped, and its last word is heard.
 * Leaving the iteration leaves the answer open; its stage ends it with `cut` or `leave`.
 */
import type { Clock } from '#base/clock'
import type { OnlineCall } from '#contract/call'
import { InferdError } from '#contract/errors'
import { type GenerateEvent, NO_USAGE, type Usage } from '#contract/generate'
import type { CallHandler } from './stage.ts'

/** Longest wait for a last word. A local model stops within one step. */
const LAST_WORD_MS = 2000

export class CutAnswer {
  private readonly report: OnlineCall['report']
  private readonly clock: Clock
  private readonly cutting = new AbortController()
  private readonly inner: AsyncIterator<GenerateEvent>
  /** Its prompt, and a token for each piece, which is the least that it can have made. */
  private seen: Usage = NO_USAGE
  /** Of its terminal event. */
  private told: Usage | null = null

  constructor(next: CallHandler, { call, clock, signal }: { readonly call: OnlineCall; readonly clock: Clock; readonly signal: AbortSignal }) {
    this.report = call.report
    this.clock = clock
    this.inner = next(call, AbortSignal.any([signal, this.cutting.signal]))[Symbol.asyncIterator]()
  }

  [Symbol.asyncIterator](): AsyncIterator<GenerateEvent> {
    return { next: this.next }
  }

  /** Stops the model. Gives what it has used, as it says itself; where it does not say it in time, what was seen, and the report tells so. */
  async cut(): Promise<Usage> {
    const silence = new AbortController()
    const tooLate = this.clock.sleep(LAST_WORD_MS, silence.signal).catch(() => {})
    this.stop()
    try {
      await Promise.race([this.hearRest(), tooLate])
    } finally {
      silence.abort()
      this.leave()
    }
    const { told, seen } = this
    // A model that lost count says nothing made.
    if (told !== null && (told.completionTokens > 0 || seen.completionTokens === 0)) return told
    this.report.isUsageEstimated = true
    return seen
  }

  /** Nobody wants anything of it any more. */
  leave(): void {
    this.stop()
    // What waits in it is aborted: the return is not waited for.
    void Promise.resolve(this.inner.return?.()).catch(() => {})
  }

  private stop(): void {
    this.cutting.abort(new InferdError('cancelled', 'the answer was cut'))
  }

  private async hearRest(): Promise<void> {
    try {
      while (this.told === null) if ((await this.next()).done === true) return
    } catch {
      // The reason of the cut: nothing more is to be heard.
    }
  }

  /** Hot: per event. */
  private readonly next = (): Promise<IteratorResult<GenerateEvent>> => this.inner.next().then(this.onResult)

  private readonly onResult = (result: IteratorResult<GenerateEvent>): IteratorResult<GenerateEvent> => {
    if (result.done !== true) this.count(result.value)
    return result
  }

  private count(event: GenerateEvent): void {
    switch (event.type) {
      case 'response-start':
        this.seen = { ...NO_USAGE, promptTokens: event.promptTokens, cachedTokens: event.cachedTokens }
        return
      case 'text-delta':
        this.add(event.logprobs?.length ?? 1, 0)
        return
      case 'reasoning-delta':
        this.add(event.logprobs?.length ?? 1, event.logprobs?.length ?? 1)
        return
      case 'tool-call-delta':
        this.add(1, 0)
        return
      case 'response-end':
      case 'response-error':
        this.told = event.usage
    }
  }

  private add(numTokens: number, numReasoning: number): void {
    const { completionTokens, reasoningTokens } = this.seen
    this.seen = { ...this.seen, completionTokens: completionTokens + numTokens, reasoningTokens: reasoningTokens + numReasoning }
  }
}
