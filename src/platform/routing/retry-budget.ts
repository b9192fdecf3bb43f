/** How much further work retries and hedges may make: a token bucket that is filled by traffic itself, not by time. */

export interface RetryBudgetPolicy {
  /** Extra attempts earned by each call: 0.1 = at most a tenth of the traffic. */
  readonly ratio: number
  /** Extra attempts that may be saved up; a quiet server starts with so many. */
  readonly burst: number
}

export const DEFAULT_RETRY_BUDGET: RetryBudgetPolicy = { ratio: 0.1, burst: 10 }

/** Invariant: 0 <= tokens <= burst. */
export class RetryBudget {
  private readonly policy: RetryBudgetPolicy
  private tokens: number

  constructor(policy: RetryBudgetPolicy) {
    this.policy = policy
    this.tokens = policy.burst
  }

  /** Once per call, before its first attempt. */
  earn(): void {
    this.tokens = Math.min(this.policy.burst, this.tokens + this.policy.ratio)
  }

  /** False: no further attempt may be made. */
  take(): boolean {
    if (this.tokens < 1) return false
    this.tokens -= 1
    return true
  }
}
