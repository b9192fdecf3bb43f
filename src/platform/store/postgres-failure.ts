/** What an error of PostgreSQL, or of the way to it, means to whoever asked. */
import { InferdError } from '#contract/errors'

/** The session behind it is of no use any more. */
export interface PostgresFailure {
  readonly error: InferdError
  readonly isBroken: boolean
}

/** The server ended a statement or a lock's wait at a deadline. */
const DEADLINES: readonly string[] = ['57014', '55P03', '25P03']
const TOO_MANY_CONNECTIONS = '53300'
/** A server that was demoted while we were connected. */
const READ_ONLY = '25006'
const RETRY_AFTER_MS = 1000

/** By SQLSTATE, Appendix A of PostgreSQL's manual. What has none comes from the connection. */
export function failureOf(cause: unknown): PostgresFailure {
  if (cause instanceof InferdError) return { error: cause, isBroken: true }
  const state = sqlStateOf(cause)
  if (state === null) return { error: new InferdError('store_failed', 'the store does not answer', { cause }), isBroken: true }
  if (state.startsWith('23')) return { error: new InferdError('conflict', 'this exists already', { cause }), isBroken: false }
  if (state === TOO_MANY_CONNECTIONS) return { error: tooBusy(cause), isBroken: true }
  if (DEADLINES.includes(state)) return { error: new InferdError('store_failed', 'the store took too long', { cause }), isBroken: false }
  // 08 connection, 57P0x shutdown and start, 58 and F0 the server's system, XX its own defects.
  const isBroken = state === READ_ONLY || /^(08|57P|58|F0|XX)/.test(state)
  return { error: new InferdError('store_failed', isBroken ? 'the store does not answer' : 'the store failed', { cause }), isBroken }
}

export function tooBusy(cause: unknown): InferdError {
  return new InferdError('overloaded', 'too many statements wait for the store', { cause, retryAfterMs: RETRY_AFTER_MS })
}

function sqlStateOf(cause: unknown): string | null {
  const code = cause instanceof Error && 'code' in cause ? cause.code : null
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : null
}
