/** What an error of PostgreSQL, or of the way to it, means to whoever asked. */
import { InferdError } from '#contract/errors'

export interface PostgresFailure {
  readonly error: InferdError
  /** The session is of no use any more. */
  readonly isBroken: boolean
}

const TOO_MANY_CONNECTIONS = '53300'
/** A server that was demoted while we were connected. */
const READ_ONLY = '25006'
/** A deadline of the server: of a statement, of a lock's wait, of a transaction in which nothing happens. */
const DEADLINES: readonly string[] = ['57014', '55P03', '25P03']
const RETRY_AFTER_MS = 1000

/** By SQLSTATE, Appendix A of PostgreSQL's manual. What has none comes from the connection. */
export function failureOf(cause: unknown): PostgresFailure {
  if (cause instanceof InferdError) return { error: cause, isBroken: true }
  const state = fieldOf(cause, 'code')
  // 08 connection, 57P0x shutdown and start, 58 and F0 the server's system, XX its own defects.
  const isAway = state === null || state === READ_ONLY || /^(08|57P|58|F0|XX)/.test(state)
  const isBroken = isAway || /^(FATAL|PANIC)$/.test(fieldOf(cause, 'severity') ?? '')
  return { error: errorOf(cause, isAway ? null : state), isBroken }
}

/** `state` null: the server is away. */
function errorOf(cause: unknown, state: string | null): InferdError {
  if (state === null) return new InferdError('store_failed', 'the store does not answer', { cause })
  if (state.startsWith('23')) return new InferdError('conflict', 'this exists already', { cause })
  if (state === TOO_MANY_CONNECTIONS) return tooBusy(cause)
  return new InferdError('store_failed', DEADLINES.includes(state) ? 'the store took too long' : 'the store failed', { cause })
}

export function tooBusy(cause: unknown): InferdError {
  return new InferdError('overloaded', 'too many statements wait for the store', { cause, retryAfterMs: RETRY_AFTER_MS })
}

/** Errors of sockets have a `code` of another form. */
function fieldOf(cause: unknown, name: 'code' | 'severity'): string | null {
  const value: unknown = cause instanceof Error ? Reflect.get(cause, name) : null
  return typeof value === 'string' && (name === 'severity' || /^[0-9A-Z]{5}$/.test(value)) ? value : null
}
