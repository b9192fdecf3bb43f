/** The phases of one wake-up, told as they end. */
import type { ColdStartPhase } from '#telemetry/metrics'

/**
 * wait: from the first call (or the wish) to the spawn, for room and for what the files say. spawn: until the process is up. load: until it
 * is ready. first_token: until the first piece of an answer. total: all of them.
 */
export class ColdStart {
  private readonly wokenMs: number
  private readonly tell: (phase: ColdStartPhase, durationMs: number) => void
  private lastMs: number
  private readonly told = new Set<ColdStartPhase>()

  constructor({ wokenMs, tell }: { readonly wokenMs: number; readonly tell: (phase: ColdStartPhase, durationMs: number) => void }) {
    this.wokenMs = wokenMs
    this.lastMs = wokenMs
    this.tell = tell
  }

  /** Each phase ends once; one that was skipped is told with the next. */
  end(phase: Exclude<ColdStartPhase, 'total'>, nowMs: number): void {
    if (this.told.has(phase)) return
    this.told.add(phase)
    this.tell(phase, nowMs - this.lastMs)
    this.lastMs = nowMs
    if (phase === 'first_token') this.tell('total', nowMs - this.wokenMs)
  }
}
