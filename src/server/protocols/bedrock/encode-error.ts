/**
 * Every error code as Bedrock's clients know it: status and exception, in a stream the exception's frame. Names and statuses: the service
 * models of bedrock-runtime and bedrock; signature errors: "Common error types" of the AWS APIs.
 */
import type { ErrorCode, ErrorRecord } from '#contract/errors'
import { exceptionFrame } from '#server/aws-event-stream'
import { messageWithParam, retryAfterOf } from '#server/error-parts'
import type { WireError } from '#server/operation'

interface WireRow {
  readonly status: number
  readonly type: string
}

const VALIDATION: WireRow = { status: 400, type: 'ValidationException' }
const NOT_FOUND: WireRow = { status: 404, type: 'ResourceNotFoundException' }
const UNKNOWN_ROUTE: WireRow = { status: 404, type: 'UnknownOperationException' }
/** Clients whose clock is off learn ours from the date of the answer and sign again. */
const SIGNATURE: WireRow = { status: 403, type: 'InvalidSignatureException' }
const MODEL_ERROR: WireRow = { status: 424, type: 'ModelErrorException' }
const UNAVAILABLE: WireRow = { status: 503, type: 'ServiceUnavailableException' }
const INTERNAL: WireRow = { status: 500, type: 'InternalServerException' }

const WIRE_ERRORS = {
  malformed_body: VALIDATION,
  malformed_request: VALIDATION,
  invalid_parameter: VALIDATION,
  unsupported_parameter: VALIDATION,
  context_length_exceeded: VALIDATION,
  unauthenticated: { status: 403, type: 'MissingAuthenticationTokenException' },
  invalid_credentials: { status: 403, type: 'UnrecognizedClientException' },
  signature_mismatch: SIGNATURE,
  signature_expired: SIGNATURE,
  incomplete_signature: { status: 400, type: 'IncompleteSignatureException' },
  session_expired: { status: 403, type: 'ExpiredTokenException' },
  forbidden: { status: 403, type: 'AccessDeniedException' },
  model_not_found: NOT_FOUND,
  resource_not_found: NOT_FOUND,
  conflict: { status: 400, type: 'ConflictException' },
  route_not_found: UNKNOWN_ROUTE,
  method_not_allowed: { ...UNKNOWN_ROUTE, status: 405 },
  payload_too_large: { ...VALIDATION, status: 413 },
  headers_too_large: { ...VALIDATION, status: 431 },
  unsupported_media_type: { ...VALIDATION, status: 415 },
  misdirected_host: { ...VALIDATION, status: 421 },
  request_timeout: { status: 408, type: 'RequestTimeoutException' },
  rate_limited: { status: 429, type: 'ThrottlingException' },
  budget_exceeded: { status: 400, type: 'ServiceQuotaExceededException' },
  quota_exceeded: { status: 400, type: 'ServiceQuotaExceededException' },
  content_blocked: VALIDATION,
  overloaded: UNAVAILABLE,
  model_loading: { status: 429, type: 'ModelNotReadyException' },
  shutting_down: UNAVAILABLE,
  cancelled: { ...VALIDATION, status: 499 },
  deadline_exceeded: { status: 408, type: 'ModelTimeoutException' },
  replica_lost: MODEL_ERROR,
  degenerate_output: MODEL_ERROR,
  non_finite_logits: MODEL_ERROR,
  upstream_failed: UNAVAILABLE,
  store_failed: UNAVAILABLE,
  invalid_model_file: INTERNAL,
  unsupported_model: INTERNAL,
  insufficient_memory: INTERNAL,
  internal: INTERNAL,
} as const satisfies Record<ErrorCode, WireRow>

const WAITING_STATUSES: readonly number[] = [429, 503]

export function encodeError(error: ErrorRecord, requestId: string): WireError {
  const { status, type } = WIRE_ERRORS[error.code]
  const headers: Record<string, string> = { 'x-amzn-errortype': type, 'x-amzn-requestid': requestId }
  if (WAITING_STATUSES.includes(status)) headers['retry-after'] = retryAfterOf(error)
  return { status, headers, body: encodeMessage(error) }
}

/** `knowsTimeout`: InvokeModelWithResponseStream has a frame for it, ConverseStream has none. */
export function encodeStreamError(error: ErrorRecord, { knowsTimeout }: { readonly knowsTimeout: boolean }): Uint8Array {
  const { status, type } = WIRE_ERRORS[error.code]
  switch (type) {
    case 'ThrottlingException':
    case 'ModelNotReadyException':
      return exceptionFrame('throttlingException', encodeMessage(error))
    case 'ServiceUnavailableException':
      return exceptionFrame('serviceUnavailableException', encodeMessage(error))
    case 'InternalServerException':
      return exceptionFrame('internalServerException', encodeMessage(error))
    case 'ModelErrorException':
      return modelStreamError(error, status)
    case 'ModelTimeoutException':
      return knowsTimeout ? exceptionFrame('modelTimeoutException', encodeMessage(error)) : modelStreamError(error, status)
    default:
      return exceptionFrame('validationException', encodeMessage(error))
  }
}

function modelStreamError(error: ErrorRecord, originalStatusCode: number): Uint8Array {
  return exceptionFrame('modelStreamErrorException', JSON.stringify({ message: error.message, originalStatusCode, originalMessage: error.message }))
}

function encodeMessage(error: ErrorRecord): string {
  return JSON.stringify({ message: messageWithParam(error) })
}
