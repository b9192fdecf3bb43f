/** What is known of one target: the single owner of its breaker, its times and its counts. */
import type { ErrorCode } from '#contract/errors'
import type { Usage } from '#contract/generate'
import { admit, CLOSED, record, type BreakerPolicy, type BreakerState, type Outcome } from './circuit-breaker.ts'
import { outcomeOf } from './failure-class.ts'
import { FirstEventTimes } from './first-event-times.ts'

/** For the operator: nobody is charged for `wastedTokens`. */
export interface TargetStats {
  readonly model: string
  readonly breaker: BreakerState['kind']
  readonly numAttempts: number
  readonly numFailures: number
  /** Prompt and output tokens of attempts whose answer nobody got. */
  readonly wastedTokens: number
}

export class TargetHealth {
  readonly model: string
  readonly times = new FirstEventTimes()
  private readonly policy: BreakerPolicy
  private breaker: BreakerState = CLOSED
  private lastError: ErrorCode = 'upstream_failed'
  private numAttempts = 0
  private numFailures = 0
  private wastedTokens = 0

  constructor(model: string, policy: BreakerPolicy) {
    this.model = model
    this.policy = policy
  }

  /** Every admitted call ends with exactly one of succeed, fail, release. */
  admit(nowMs: number): boolean {
    const { isAdmitted, state } = admit(this.breaker, nowMs)
    this.breaker = state
    if (isAdmitted) this.numAttempts++
    return isAdmitted
  }

  succeed(nowMs: number): void {
    this.end('success', nowMs)
  }

  fail(code: ErrorCode, nowMs: number): void {
    this.numFailures++
    this.lastError = code
    this.end(outcomeOf(code), nowMs)
  }

  /** It was given up for a reason of ours. */
  release(nowMs: number): void {
    this.end('neutral', nowMs)
  }

  waste({ promptTokens, completionTokens }: Pick<Usage, 'promptTokens' | 'completionTokens'>): void {
    this.wastedTokens += promptTokens + completionTokens
  }

  /** Of an open breaker: what opened it, and when it lets a call through again. */
  refusal(nowMs: number): { readonly code: ErrorCode; readonly retryAfterMs: number } {
    return { code: this.lastError, retryAfterMs: this.breaker.kind === 'open' ? Math.max(0, this.breaker.untilMs - nowMs) : 1000 }
  }

  get stats(): TargetStats {
    const { model, numAttempts, numFailures, wastedTokens } = this
    return { model, breaker: this.breaker.kind, numAttempts, numFailures, wastedTokens }
  }

  private end(outcome: Outcome, nowMs: number): void {
    this.breaker = record(this.policy, this.breaker, outcome, nowMs)
  }
}
