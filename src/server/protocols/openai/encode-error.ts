/**
 * Every error code as OpenAI clients know it: status, `type`, `code`. The compiler checks that none is missing.
 * Shape and statuses: OpenAI API reference, "Error codes"; retry headers as the official clients read them.
 */
import { ERRORS, type ErrorCode, type ErrorRecord } from '#contract/errors'
import { retryAfterOf } from '#server/error-parts'
import type { WireError } from '#server/operation'

interface WireRow {
  readonly status: number
  readonly type: string
  readonly code: string
}

const INVALID = 'invalid_request_error'
const SERVER = 'server_error'

export const WIRE_ERRORS = {
  malformed_body: { status: 400, type: INVALID, code: 'malformed_body' },
  malformed_request: { status: 400, type: INVALID, code: 'malformed_request' },
  invalid_parameter: { status: 400, type: INVALID, code: 'invalid_parameter' },
  unsupported_parameter: { status: 400, type: INVALID, code: 'unsupported_parameter' },
  context_length_exceeded: { status: 400, type: INVALID, code: 'context_length_exceeded' },
  unauthenticated: { status: 401, type: INVALID, code: 'invalid_api_key' },
  invalid_credentials: { status: 401, type: INVALID, code: 'invalid_api_key' },
  signature_mismatch: { status: 401, type: INVALID, code: 'invalid_api_key' },
  signature_expired: { status: 401, type: INVALID, code: 'invalid_api_key' },
  incomplete_signature: { status: 401, type: INVALID, code: 'invalid_api_key' },
  session_expired: { status: 401, type: INVALID, code: 'invalid_api_key' },
  forbidden: { status: 403, type: 'permission_error', code: 'forbidden' },
  model_not_found: { status: 404, type: INVALID, code: 'model_not_found' },
  resource_not_found: { status: 404, type: INVALID, code: 'not_found' },
  conflict: { status: 409, type: INVALID, code: 'conflict' },
  route_not_found: { status: 404, type: INVALID, code: 'unknown_url' },
  method_not_allowed: { status: 405, type: INVALID, code: 'method_not_allowed' },
  payload_too_large: { status: 413, type: INVALID, code: 'payload_too_large' },
  headers_too_large: { status: 431, type: INVALID, code: 'headers_too_large' },
  unsupported_media_type: { status: 415, type: INVALID, code: 'unsupported_media_type' },
  misdirected_host: { status: 421, type: INVALID, code: 'misdirected_host' },
  request_timeout: { status: 408, type: INVALID, code: 'request_timeout' },
  rate_limited: { status: 429, type: 'rate_limit_error', code: 'rate_limit_exceeded' },
  budget_exceeded: { status: 429, type: 'insufficient_quota', code: 'insufficient_quota' },
  quota_exceeded: { status: 400, type: INVALID, code: 'quota_exceeded' },
  content_blocked: { status: 400, type: INVALID, code: 'content_filter' },
  overloaded: { status: 503, type: SERVER, code: 'overloaded' },
  model_loading: { status: 503, type: SERVER, code: 'model_loading' },
  shutting_down: { status: 503, type: SERVER, code: 'shutting_down' },
  cancelled: { status: 499, type: INVALID, code: 'cancelled' },
  deadline_exceeded: { status: 504, type: SERVER, code: 'timeout' },
  replica_lost: { status: 500, type: SERVER, code: 'replica_lost' },
  degenerate_output: { status: 500, type: SERVER, code: 'degenerate_output' },
  upstream_failed: { status: 502, type: SERVER, code: 'upstream_failed' },
  store_failed: { status: 503, type: SERVER, code: 'store_failed' },
  non_finite_logits: { status: 500, type: SERVER, code: 'non_finite_logits' },
  invalid_model_file: { status: 500, type: SERVER, code: 'invalid_model_file' },
  unsupported_model: { status: 500, type: SERVER, code: 'unsupported_model' },
  insufficient_memory: { status: 500, type: SERVER, code: 'insufficient_memory' },
  internal: { status: 500, type: SERVER, code: 'internal_error' },
} as const satisfies Record<ErrorCode, WireRow>

/** The `error` object alone, as it also travels inside a stream. */
export function encodeErrorBody(error: ErrorRecord): string {
  const { type, code } = WIRE_ERRORS[error.code]
  return JSON.stringify({ error: { message: error.message, type, param: error.param, code } })
}

/** `x-should-retry: false` wherever the same call cannot succeed later; `retry-after` (seconds, rounded up) on 503. */
export function encodeError(error: ErrorRecord): WireError {
  const { status } = WIRE_ERRORS[error.code]
  const headers: Record<string, string> = {}
  if (!ERRORS[error.code].retryable) headers['x-should-retry'] = 'false'
  if (status === 503 || error.code === 'rate_limited') headers['retry-after'] = retryAfterOf(error)
  if (status === 401) headers['www-authenticate'] = 'Bearer'
  return { status, headers, body: encodeErrorBody(error) }
}
