/** A clock for simulations and tests: time moves only when told to. */
import type { Clock } from './clock.ts'

interface Sleeper {
  readonly dueMs: number
  readonly wake: () => void
}

export class FakeClock implements Clock {
  private timeMs = 0
  private readonly sleepers = new Set<Sleeper>()

  nowMs(): number {
    return this.timeMs
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.timeMs
  }

  get numSleepers(): number {
    return this.sleepers.size
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error)
      const onAbort = (): void => {
        this.sleepers.delete(sleeper)
        reject(signal?.reason as Error)
      }
      const sleeper: Sleeper = {
        dueMs: this.timeMs + durationMs,
        wake: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.sleepers.add(sleeper)
    })
  }

  /** Moves time on, wakes who is due in order of time, and lets their continuations run. */
  async advance(durationMs: number): Promise<void> {
    const untilMs = this.timeMs + durationMs
    for (;;) {
      const due = [...this.sleepers].filter((sleeper) => sleeper.dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs)[0]
      if (due === undefined) break
      this.sleepers.delete(due)
      this.timeMs = Math.max(this.timeMs, due.dueMs)
      due.wake()
      await settle()
    }
    this.timeMs = untilMs
    await settle()
  }
}

/** Runs every promise continuation that is ready. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
