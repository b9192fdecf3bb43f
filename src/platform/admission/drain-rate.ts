/** How fast a model works its calls off, in tokens per busy millisecond, the last seconds counting most. */
const MEMORY_MS = 10_000

export class DrainRate {
  private tokens = 0
  private busyMs = 0
  private atMs: number
  /** Tokens of refused calls that may come back. */
  private refusedTokens = 0
  private readonly assumed: number

  /** `assumed`: tokens per millisecond before anything was measured. */
  constructor({ nowMs, assumed }: { readonly nowMs: number; readonly assumed: number }) {
    this.atMs = nowMs
    this.assumed = assumed
  }

  /** Time went on since the last call; `isBusy`: calls ran. */
  advance(nowMs: number, isBusy: boolean): void {
    const elapsedMs = Math.max(0, nowMs - this.atMs)
    if (elapsedMs === 0) return
    const kept = Math.exp(-elapsedMs / MEMORY_MS)
    this.refusedTokens *= kept
    if (isBusy) {
      this.tokens *= kept
      this.busyMs = this.busyMs * kept + elapsedMs
    }
    this.atMs = nowMs
  }

  finished(tokens: number): void {
    this.tokens += tokens
  }

  refused(tokens: number): void {
    this.refusedTokens += tokens
  }

  get isMeasured(): boolean {
    return this.tokens > 0 && this.busyMs > 0
  }

  get tokensPerMs(): number {
    return this.isMeasured ? this.tokens / this.busyMs : this.assumed
  }

  /** How long `tokens` take. */
  timeFor(tokens: number): number {
    return tokens / this.tokensPerMs
  }

  /** How long it takes until a caller who is refused now may hope: what waits and who else was sent away. Grows with the pressure. */
  honestWaitMs(waitingTokens: number): number {
    return this.timeFor(waitingTokens + this.refusedTokens)
  }
}
