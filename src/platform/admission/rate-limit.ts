/**
 * A rate as the generic cell rate algorithm has it: one number says when what was taken will have been paid for. A full minute's amount
 * may be taken at once; more than that at once is let through when nothing is owed, and is paid for before the next. On the monotonic
 * clock: a wall clock that jumps or stands still changes nothing.
 */
const WINDOW_MS = 60_000

export class RateLimit {
  private readonly msPerUnit: number
  /** Monotonic. What was taken is paid for then; in the past = nothing is owed. */
  private paidAtMs = 0

  constructor(unitsPerMinute: number) {
    this.msPerUnit = WINDOW_MS / unitsPerMinute
  }

  /** How long until `units` may be taken; 0 = now. */
  waitMs(units: number, nowMs: number): number {
    const owedMs = Math.max(0, this.paidAtMs - nowMs)
    return owedMs === 0 ? 0 : Math.max(0, Math.min(owedMs, owedMs + units * this.msPerUnit - WINDOW_MS))
  }

  take(units: number, nowMs: number): void {
    this.paidAtMs = Math.max(this.paidAtMs, nowMs) + units * this.msPerUnit
  }

  /** After the fact: more was used than taken, or (negative) less. */
  correct(units: number, nowMs: number): void {
    this.paidAtMs = Math.max(this.paidAtMs, nowMs) + units * this.msPerUnit
    if (this.paidAtMs < nowMs) this.paidAtMs = nowMs
  }

  isIdle(nowMs: number): boolean {
    return this.paidAtMs <= nowMs
  }
}
