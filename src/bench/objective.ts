/** A service level objective: limits that an answer must keep to be good. */
import type { Answered } from './request-outcome.ts'

/** Milliseconds; null = no limit. At least one is set. */
export interface Objective {
  readonly ttftMs: number | null
  readonly tpotMs: number | null
  readonly e2eMs: number | null
}

/** Time to the first token; null = the answer was not streamed. */
export function ttftMs({ sentMs, firstMs }: Answered): number | null {
  return firstMs === null ? null : firstMs - sentMs
}

/** Time per output token behind the first; null = there is only one, or the answer was not streamed. */
export function tpotMs({ firstMs, endMs, numOutputTokens }: Answered): number | null {
  return firstMs === null || numOutputTokens < 2 ? null : (endMs - firstMs) / (numOutputTokens - 1)
}

export function e2eMs({ sentMs, endMs }: Answered): number {
  return endMs - sentMs
}

/** What has no value, as the TPOT of one token, keeps every limit. */
export function isGood(answered: Answered, objective: Objective): boolean {
  const keeps = (value: number | null, limit: number | null): boolean => value === null || limit === null || value <= limit
  return keeps(ttftMs(answered), objective.ttftMs) && keeps(tpotMs(answered), objective.tpotMs) && keeps(e2eMs(answered), objective.e2eMs)
}
