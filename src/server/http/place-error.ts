/** An error of the engine in the words of the one who called: its `param` names the field that was sent. */
import { type ErrorDetails, InferdError } from '#contract/errors'
import type { PlaceOf } from '#server/operation'

/** What is no InferdError, or names no place, is returned as it is. */
export function placeError(error: unknown, placeOf: PlaceOf): unknown {
  if (!(error instanceof InferdError) || error.param === null) return error
  const { retryAfterMs } = error
  const details: ErrorDetails = { param: placeOf(error.param), cause: error, ...(retryAfterMs === null ? {} : { retryAfterMs }) }
  return new InferdError(error.code, error.message, details)
}
