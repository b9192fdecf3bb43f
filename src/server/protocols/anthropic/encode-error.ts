/**
 * Every error code as Anthropic's clients know it: status and `type`. Shape and types: Claude API reference, "Errors"; retry headers
 * as the official client reads them.
 */
import { ERRORS, type ErrorCode, type ErrorRecord } from '#contract/errors'
import { messageWithParam, retryAfterOf } from '#server/error-parts'
import type { WireError } from '#server/operation'

interface WireRow {
  readonly status: number
  readonly type: string
}

const INVALID: WireRow = { status: 400, type: 'invalid_request_error' }
const UNAUTHENTICATED: WireRow = { status: 401, type: 'authentication_error' }
const OVERLOADED: WireRow = { status: 529, type: 'overloaded_error' }
const API: WireRow = { status: 500, type: 'api_error' }

const WIRE_ERRORS = {
  malformed_body: INVALID,
  malformed_request: INVALID,
  invalid_parameter: INVALID,
  unsupported_parameter: INVALID,
  context_length_exceeded: INVALID,
  unauthenticated: UNAUTHENTICATED,
  invalid_credentials: UNAUTHENTICATED,
  signature_mismatch: UNAUTHENTICATED,
  signature_expired: UNAUTHENTICATED,
  incomplete_signature: UNAUTHENTICATED,
  session_expired: UNAUTHENTICATED,
  forbidden: { status: 403, type: 'permission_error' },
  model_not_found: { status: 404, type: 'not_found_error' },
  resource_not_found: { status: 404, type: 'not_found_error' },
  conflict: { status: 409, type: 'conflict_error' },
  route_not_found: { status: 404, type: 'not_found_error' },
  method_not_allowed: { status: 405, type: 'invalid_request_error' },
  payload_too_large: { status: 413, type: 'request_too_large' },
  headers_too_large: { status: 431, type: 'invalid_request_error' },
  unsupported_media_type: { status: 415, type: 'invalid_request_error' },
  misdirected_host: { status: 421, type: 'invalid_request_error' },
  request_timeout: { status: 408, type: 'invalid_request_error' },
  rate_limited: { status: 429, type: 'rate_limit_error' },
  budget_exceeded: { status: 402, type: 'billing_error' },
  quota_exceeded: INVALID,
  content_blocked: INVALID,
  overloaded: OVERLOADED,
  model_loading: OVERLOADED,
  shutting_down: OVERLOADED,
  cancelled: { status: 499, type: 'invalid_request_error' },
  deadline_exceeded: { status: 504, type: 'timeout_error' },
  replica_lost: API,
  degenerate_output: API,
  upstream_failed: { status: 502, type: 'api_error' },
  store_failed: OVERLOADED,
  non_finite_logits: API,
  invalid_model_file: API,
  unsupported_model: API,
  insufficient_memory: API,
  internal: API,
} as const satisfies Record<ErrorCode, WireRow>

const WAITING_STATUSES: readonly number[] = [429, 529]

/** The body alone, as it also travels inside a stream. A field at fault stands in front of the message, as in the original. */
export function encodeErrorBody(error: ErrorRecord, requestId: string): string {
  const message = messageWithParam(error)
  return JSON.stringify({ type: 'error', error: { type: WIRE_ERRORS[error.code].type, message }, request_id: requestId })
}

export function encodeError(error: ErrorRecord, requestId: string): WireError {
  const { status } = WIRE_ERRORS[error.code]
  const headers: Record<string, string> = { 'request-id': requestId, 'x-should-retry': String(ERRORS[error.code].retryable) }
  if (WAITING_STATUSES.includes(status)) headers['retry-after'] = retryAfterOf(error)
  return { status, headers, body: encodeErrorBody(error, requestId) }
}
