/** Sends requests as a load has them come, and hands on what became of each. */
import type { Clock } from '#base/clock'
import type { Random } from '#base/random'
import { arrivalTimesMs, type Load } from './load.ts'
import type { RequestOutcome } from './request-outcome.ts'

export interface LoadLoop {
  readonly load: Load
  readonly maxRequests: number
  /** Nothing is sent afterwards; what was sent is waited for. null = until maxRequests were sent. */
  readonly durationMs: number | null
  /** Requests that may be under way at the same time; of an open load, those that come beyond wait in the client. */
  readonly maxInFlight: number
  readonly clock: Clock
  readonly random: Random
  /** Never rejects. `index` counts from 0, `dueMs` is on the clock. */
  readonly ask: (index: number, dueMs: number) => Promise<RequestOutcome>
  readonly onOutcome: (outcome: RequestOutcome) => void
}

/** Resolves when all that was sent has ended, also after an abort, which only stops the sending. */
export async function runLoad(loop: LoadLoop, signal: AbortSignal): Promise<void> {
  await (loop.load.kind === 'closed' ? runClosed(loop, loop.load.concurrency, signal) : runOpen(loop, loop.load, signal))
}

async function runClosed({ maxRequests, durationMs, clock, ask, onOutcome }: LoadLoop, concurrency: number, signal: AbortSignal): Promise<void> {
  const startMs = clock.nowMs()
  let numSent = 0
  const isOver = (): boolean => signal.aborted || numSent >= maxRequests || (durationMs !== null && clock.nowMs() - startMs >= durationMs)
  const caller = async (): Promise<void> => {
    while (!isOver()) onOutcome(await ask(numSent++, clock.nowMs()))
  }
  await Promise.all(Array.from({ length: concurrency }, caller))
}

async function runOpen(loop: LoadLoop, load: Load & { readonly kind: 'open' }, signal: AbortSignal): Promise<void> {
  const { maxRequests, durationMs, maxInFlight, clock, random, ask, onOutcome } = loop
  const startMs = clock.nowMs()
  const inFlight = new InFlight(maxInFlight)
  let numSent = 0
  for (const dueMs of arrivalTimesMs(load, random)) {
    if (numSent >= maxRequests || (durationMs !== null && dueMs >= durationMs)) break
    await untilDue(startMs + dueMs, clock, signal)
    await inFlight.untilRoom()
    if (signal.aborted || (durationMs !== null && clock.nowMs() - startMs >= durationMs)) break
    inFlight.add(ask(numSent++, startMs + dueMs).then(onOutcome))
  }
  await inFlight.untilEmpty()
}

/** Timers may go off a little early; requests do not. Ends with the signal too. */
async function untilDue(dueMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  for (let waitMs = dueMs - clock.nowMs(); waitMs > 0 && !signal.aborted; waitMs = dueMs - clock.nowMs())
    await clock.sleep(waitMs, signal).catch(() => {})
}

/** Promises that do not reject, at most `max` at a time. One waiter at a time. */
class InFlight {
  private readonly max: number
  private count = 0
  private wake: (() => void) | null = null

  constructor(max: number) {
    this.max = max
  }

  add(work: Promise<void>): void {
    this.count++
    void work.finally(() => {
      this.count--
      this.wake?.()
    })
  }

  untilRoom(): Promise<void> {
    return this.until(() => this.count < this.max)
  }

  untilEmpty(): Promise<void> {
    return this.until(() => this.count === 0)
  }

  private async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
  }
}
