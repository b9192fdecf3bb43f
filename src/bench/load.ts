/** How requests come: closed, each of N callers waits for its answer; or open, at a rate, whether the server is done with those before or not. */
import type { Random } from '#base/random'

export type ArrivalProcess = 'poisson' | 'constant'

export type Load =
  | { readonly kind: 'closed'; readonly concurrency: number }
  /** `ratePerS` may be Infinity: all at once. */
  | { readonly kind: 'open'; readonly ratePerS: number; readonly process: ArrivalProcess }

/** `8 at a time`, `2.5/s`. */
export function loadName(load: Load): string {
  if (load.kind === 'closed') return `${load.concurrency} at a time`
  return load.ratePerS === Infinity ? 'all at once' : `${load.ratePerS}/s`
}

/**
 * When requests are due, in milliseconds from the start, without an end. The first is due at once; gaps are 1/rate, or exponential with that
 * mean, by inversion: `-ln(1 - u) / rate`.
 */
export function* arrivalTimesMs(
  { ratePerS, process }: { readonly ratePerS: number; readonly process: ArrivalProcess },
  random: Random,
): Generator<number, never> {
  let dueMs = 0
  for (;;) {
    yield dueMs
    dueMs += ((process === 'poisson' ? -Math.log(1 - random.nextFloat()) : 1) * 1000) / ratePerS
  }
}
