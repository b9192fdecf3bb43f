/**
 * The only reader of time. Everything that waits or measures takes a Clock, so that simulations run on a fake one.
 */
import { setTimeout as delay } from 'node:timers/promises'

export interface Clock {
  /** Monotonic milliseconds with a fraction; only differences mean something. */
  nowMs(): number
  /** Wall clock, milliseconds since the epoch. For records and wire timestamps, never for measuring. */
  wallMs(): number
  /** Resolves after `durationMs`; rejects with the signal's reason when it aborts first. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep: (durationMs, signal) => delay(durationMs, undefined, signal === undefined ? {} : { signal }),
}
