/**
 * How many tokens of the background one step may have. A call of the foreground that comes meanwhile waits for the step to end: that shall be
 * a small part of what it waits anyway for its first token. Steps of which the background makes too long become shorter at once, and
 * longer step by step.
 */
import type { Clock } from '#base/clock'

/** Of the usual time to the first token of the foreground: on average who comes waits for half a step. */
const STEP_SHARE = 0.22
const MIN_STEP_MS = 2
/** Also where nobody of the foreground has come for a while, or ever: who is the first to come again waits so long. */
const MAX_STEP_MS = 200
const QUIET_MS = 5000
const AVERAGE_WEIGHT = 0.1
/** One slow step may be the machine's fault: it takes back no more than that. */
const MAX_CUT = 0.5
const GROWTH = 0.125

export class BackgroundShare {
  private readonly clock: Pick<Clock, 'nowMs'>
  private readonly maxTokensPerStep: number
  private tokens: number
  /** Moving average; null = none was seen. */
  private firstTokenMs: number | null = null
  private lastArrivalMs = Number.NEGATIVE_INFINITY
  /** When those of the foreground came that wait for their first token. */
  private readonly unanswered = new Map<object, number>()

  constructor(maxTokensPerStep: number, clock: Pick<Clock, 'nowMs'>) {
    this.clock = clock
    this.maxTokensPerStep = maxTokensPerStep
    this.tokens = maxTokensPerStep
  }

  /** At least 1. */
  get maxTokens(): number {
    return this.tokens
  }

  get targetMs(): number {
    if (this.firstTokenMs === null || this.clock.nowMs() - this.lastArrivalMs > QUIET_MS) return MAX_STEP_MS
    return Math.min(MAX_STEP_MS, Math.max(MIN_STEP_MS, this.firstTokenMs * STEP_SHARE))
  }

  /** Of a request of the foreground. */
  noteArrival(request: object): void {
    this.lastArrivalMs = this.clock.nowMs()
    this.unanswered.set(request, this.lastArrivalMs)
  }

  /** Hot: per token. Only the first answer of a request counts; one without a token is its end. */
  noteAnswer(request: object, isToken: boolean): void {
    if (this.unanswered.size === 0) return
    const arrivedMs = this.unanswered.get(request)
    if (arrivedMs === undefined) return
    this.unanswered.delete(request)
    if (!isToken) return
    const afterMs = this.clock.nowMs() - arrivedMs
    this.firstTokenMs = this.firstTokenMs === null ? afterMs : this.firstTokenMs + (afterMs - this.firstTokenMs) * AVERAGE_WEIGHT
  }

  /** A step with so many tokens of the background. */
  noteStep(stepMs: number, numBackgroundTokens: number): void {
    if (numBackgroundTokens === 0) return
    const { targetMs } = this
    if (stepMs > targetMs) {
      const kept = Math.max(1 - MAX_CUT, targetMs / stepMs)
      this.tokens = Math.max(1, Math.min(this.tokens, Math.floor(numBackgroundTokens * kept)))
    } else if (numBackgroundTokens >= this.tokens) {
      this.tokens = Math.min(this.maxTokensPerStep, this.tokens + Math.ceil(this.tokens * GROWTH))
    }
  }
}
