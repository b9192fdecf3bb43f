/**
 * Every error code as clients of SageMaker Runtime know it. A body is the container's business: what is wrong with it is a ModelError with
 * the container's own status, what is wrong around it a ValidationError. Shapes: the service model of SageMaker Runtime, 2017-05-13.
 */
import { type ErrorCode, type ErrorRecord, ERRORS } from '#contract/errors'
import { messageWithParam, retryAfterOf } from '#server/error-parts'
import type { WireError } from '#server/operation'

interface WireRow {
  readonly status: number
  readonly type: string
  /** Of a ModelError: what the container would have answered. */
  readonly originalStatus?: number
}

const VALIDATION: WireRow = { status: 400, type: 'ValidationError' }
const UNAVAILABLE: WireRow = { status: 503, type: 'ServiceUnavailable' }
const INTERNAL: WireRow = { status: 500, type: 'InternalFailure' }
const UNSIGNED: WireRow = { status: 403, type: 'MissingAuthenticationTokenException' }
const BAD_SIGNATURE: WireRow = { status: 403, type: 'InvalidSignatureException' }
const DENIED: WireRow = { status: 403, type: 'AccessDeniedException' }

function modelError(originalStatus: number, status = 424): WireRow {
  return { status, type: 'ModelError', originalStatus }
}

const WIRE_ERRORS = {
  malformed_body: VALIDATION,
  malformed_request: VALIDATION,
  invalid_parameter: modelError(400),
  unsupported_parameter: modelError(400),
  context_length_exceeded: modelError(400),
  unauthenticated: UNSIGNED,
  invalid_credentials: { status: 403, type: 'UnrecognizedClientException' },
  signature_mismatch: BAD_SIGNATURE,
  signature_expired: BAD_SIGNATURE,
  incomplete_signature: { status: 400, type: 'IncompleteSignatureException' },
  session_expired: { status: 403, type: 'ExpiredTokenException' },
  forbidden: DENIED,
  model_not_found: VALIDATION,
  resource_not_found: VALIDATION,
  conflict: VALIDATION,
  route_not_found: { status: 404, type: 'UnknownOperationException' },
  method_not_allowed: { status: 405, type: 'UnknownOperationException' },
  payload_too_large: { status: 413, type: 'ValidationError' },
  headers_too_large: { status: 431, type: 'ValidationError' },
  unsupported_media_type: modelError(415, 415),
  misdirected_host: { status: 421, type: 'ValidationError' },
  request_timeout: { status: 408, type: 'RequestTimeoutException' },
  rate_limited: { status: 429, type: 'ThrottlingException' },
  budget_exceeded: DENIED,
  quota_exceeded: VALIDATION,
  content_blocked: modelError(400),
  overloaded: UNAVAILABLE,
  model_loading: { status: 429, type: 'ModelNotReadyException' },
  shutting_down: UNAVAILABLE,
  cancelled: { status: 499, type: 'ValidationError' },
  deadline_exceeded: modelError(504),
  replica_lost: modelError(500),
  degenerate_output: modelError(500),
  upstream_failed: modelError(502),
  store_failed: { status: 530, type: 'InternalDependencyException' },
  non_finite_logits: modelError(500),
  invalid_model_file: modelError(500),
  unsupported_model: modelError(500),
  insufficient_memory: modelError(500),
  internal: INTERNAL,
} as const satisfies Record<ErrorCode, WireRow>

const MAX_MESSAGE_LENGTH = 2048
const WAITING_STATUSES: readonly number[] = [429, 503]
/** Of a header or of the path; fields of a body are named otherwise. */
const ENVELOPE_PARAM = /^(?:x-[a-z0-9-]+|accept|EndpointName)$/

export function encodeError(error: ErrorRecord, requestId: string): WireError {
  const { status, type, originalStatus } = rowOf(error)
  const message = messageOf(error)
  const headers: Record<string, string> = { 'x-amzn-errortype': type, 'x-amzn-requestid': requestId }
  if (WAITING_STATUSES.includes(status)) headers['retry-after'] = retryAfterOf(error)
  if (originalStatus === undefined) return { status, headers, body: JSON.stringify({ Message: message }) }
  const body = {
    Message: `Received ${ERRORS[error.code].kind === 'rejection' ? 'client' : 'server'} error (${originalStatus}) from the model: ${message}`.slice(
      0,
      MAX_MESSAGE_LENGTH,
    ),
    OriginalStatusCode: originalStatus,
    OriginalMessage: message,
    // There is no log service: the id finds the line in the server's own log.
    LogStreamArn: `arn:inferd:logs:request/${requestId}`,
  }
  return { status, headers, body: JSON.stringify(body) }
}

/** With the field at fault in front, clipped to what the service model allows. */
export function messageOf(error: ErrorRecord): string {
  return messageWithParam(error).slice(0, MAX_MESSAGE_LENGTH)
}

function rowOf({ code, param }: ErrorRecord): WireRow {
  const isOfBody = code === 'invalid_parameter' || code === 'unsupported_parameter'
  return isOfBody && param !== null && ENVELOPE_PARAM.test(param) ? VALIDATION : WIRE_ERRORS[code]
}
