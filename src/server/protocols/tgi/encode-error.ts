/** Errors as text-generation-inference tells them: a sentence and a type. Source: its router, `ErrorResponse`. */
import { ERRORS, type ErrorCode, type ErrorRecord } from '#contract/errors'
import { messageWithParam, retryAfterOf } from '#server/error-parts'
import type { WireError } from '#server/operation'

type WireType = 'validation' | 'overloaded' | 'generation' | 'authentication' | 'not_found'

/** What is not here follows from the kind: 422 for what the caller can mend, 424 for what broke. */
const ROWS: Readonly<Partial<Record<ErrorCode, readonly [status: number, type: WireType]>>> = {
  unauthenticated: [401, 'authentication'],
  invalid_credentials: [401, 'authentication'],
  signature_mismatch: [401, 'authentication'],
  signature_expired: [401, 'authentication'],
  incomplete_signature: [401, 'authentication'],
  session_expired: [401, 'authentication'],
  forbidden: [403, 'authentication'],
  model_not_found: [404, 'not_found'],
  resource_not_found: [404, 'not_found'],
  route_not_found: [404, 'not_found'],
  method_not_allowed: [405, 'validation'],
  request_timeout: [408, 'validation'],
  payload_too_large: [413, 'validation'],
  unsupported_media_type: [415, 'validation'],
  misdirected_host: [421, 'validation'],
  headers_too_large: [431, 'validation'],
  overloaded: [429, 'overloaded'],
  rate_limited: [429, 'overloaded'],
  budget_exceeded: [429, 'overloaded'],
  quota_exceeded: [429, 'overloaded'],
  model_loading: [503, 'overloaded'],
  shutting_down: [503, 'overloaded'],
  store_failed: [503, 'overloaded'],
}

export function encodeError(error: ErrorRecord): WireError {
  const { kind, retryable } = ERRORS[error.code]
  const [status, type] = ROWS[error.code] ?? (kind === 'rejection' ? [422, 'validation'] : [424, 'generation'])
  const retryAfter = retryAfterOf(error)
  const message = messageWithParam(error)
  return { status, headers: retryable ? { 'retry-after': retryAfter } : {}, body: JSON.stringify({ error: message, error_type: type }) }
}
