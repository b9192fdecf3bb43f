/** Errors of the Open Inference Protocol: a status and one sentence. Source: the protocol's REST definition, "error response JSON object". */
import { ERRORS, type ErrorCode, type ErrorRecord } from '#contract/errors'
import { messageWithParam, retryAfterOf } from '#server/error-parts'
import type { WireError } from '#server/operation'

/** What is not here follows from the kind: 400 for what the caller can mend, 500 for what we must. */
const STATUSES: Readonly<Partial<Record<ErrorCode, number>>> = {
  unauthenticated: 401,
  invalid_credentials: 401,
  signature_mismatch: 401,
  signature_expired: 401,
  incomplete_signature: 401,
  session_expired: 401,
  forbidden: 403,
  model_not_found: 404,
  resource_not_found: 404,
  route_not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  conflict: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  misdirected_host: 421,
  budget_exceeded: 429,
  quota_exceeded: 409,
  rate_limited: 429,
  headers_too_large: 431,
  upstream_failed: 502,
  overloaded: 503,
  model_loading: 503,
  shutting_down: 503,
  store_failed: 503,
  deadline_exceeded: 504,
}

export function encodeErrorBody(error: ErrorRecord): string {
  return JSON.stringify({ error: messageWithParam(error) })
}

export function encodeError(error: ErrorRecord): WireError {
  const status = STATUSES[error.code] ?? (ERRORS[error.code].kind === 'rejection' ? 400 : 500)
  const retryAfter = retryAfterOf(error)
  return { status, headers: ERRORS[error.code].retryable ? { 'retry-after': retryAfter } : {}, body: encodeErrorBody(error) }
}
