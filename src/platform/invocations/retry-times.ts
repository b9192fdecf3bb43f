/** When a notification that was not taken is sent again. */
import type { Random } from '#base/random'

const FIRST_MS = 1000
const MAX_MS = 900_000
/** About two hours after the first. */
const MAX_ATTEMPTS = 16

/** Doubles from a second to a quarter of an hour, a quarter of it at random; null = it is given up. `numFailures`: from 1. */
export function retryDelayMs(numFailures: number, random: Random): number | null {
  if (numFailures >= MAX_ATTEMPTS) return null
  const wholeMs = Math.min(FIRST_MS * 2 ** (numFailures - 1), MAX_MS)
  return Math.round(wholeMs * (0.75 + 0.25 * random.nextFloat()))
}
