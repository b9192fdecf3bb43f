/** Errors of the routes that are inferd's own: the code of the registry, as it is. */
import { type ErrorCode, type ErrorRecord, ERRORS } from '#contract/errors'
import { retryAfterOf } from '#server/error-parts'
import type { WireError } from '#server/operation'

const STATUSES: Readonly<Record<ErrorCode, number>> = {
  malformed_body: 400,
  malformed_request: 400,
  invalid_parameter: 400,
  unsupported_parameter: 400,
  context_length_exceeded: 400,
  unauthenticated: 401,
  invalid_credentials: 401,
  signature_mismatch: 403,
  signature_expired: 403,
  incomplete_signature: 403,
  session_expired: 403,
  forbidden: 403,
  model_not_found: 404,
  resource_not_found: 404,
  conflict: 409,
  route_not_found: 404,
  method_not_allowed: 405,
  payload_too_large: 413,
  headers_too_large: 431,
  unsupported_media_type: 415,
  misdirected_host: 421,
  request_timeout: 408,
  rate_limited: 429,
  budget_exceeded: 429,
  quota_exceeded: 409,
  content_blocked: 400,
  overloaded: 503,
  model_loading: 503,
  shutting_down: 503,
  cancelled: 499,
  deadline_exceeded: 504,
  replica_lost: 500,
  non_finite_logits: 500,
  degenerate_output: 500,
  upstream_failed: 502,
  store_failed: 503,
  invalid_model_file: 500,
  unsupported_model: 500,
  insufficient_memory: 500,
  internal: 500,
}

export function encodeError(error: ErrorRecord, requestId: string): WireError {
  const { code, message, param } = error
  const status = STATUSES[code]
  const headers: Record<string, string> = { 'content-type': 'application/json; charset=utf-8' }
  if (ERRORS[code].retryable) headers['retry-after'] = retryAfterOf(error)
  if (status === 401) headers['www-authenticate'] = 'Bearer'
  return { status, headers, body: JSON.stringify({ error: { code, message, param, request_id: requestId } }) }
}
