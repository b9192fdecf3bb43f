/** Every error code as clients of Application Auto Scaling know it. Shapes: its service model, 2016-02-06; AWS JSON 1.1. */
import type { ErrorCode, ErrorRecord } from '#contract/errors'
import { AWS_JSON_TYPE } from '#server/aws-json/answer-operation'
import { messageWithParam } from '#server/error-parts'
import type { WireReply } from '#server/operation'

interface WireRow {
  readonly status: number
  readonly type: string
}

const VALIDATION: WireRow = { status: 400, type: 'ValidationException' }
const ROWS: Readonly<Partial<Record<ErrorCode, WireRow>>> = {
  malformed_body: { status: 400, type: 'SerializationException' },
  resource_not_found: { status: 400, type: 'ObjectNotFoundException' },
  conflict: { status: 500, type: 'ConcurrentUpdateException' },
  overloaded: { status: 400, type: 'LimitExceededException' },
  rate_limited: { status: 400, type: 'ThrottlingException' },
  unauthenticated: { status: 403, type: 'MissingAuthenticationTokenException' },
  invalid_credentials: { status: 403, type: 'UnrecognizedClientException' },
  signature_mismatch: { status: 403, type: 'InvalidSignatureException' },
  signature_expired: { status: 403, type: 'InvalidSignatureException' },
  incomplete_signature: { status: 403, type: 'IncompleteSignatureException' },
  session_expired: { status: 403, type: 'ExpiredTokenException' },
  forbidden: { status: 400, type: 'AccessDeniedException' },
  shutting_down: { status: 503, type: 'ServiceUnavailable' },
  store_failed: { status: 500, type: 'InternalServiceException' },
  internal: { status: 500, type: 'InternalServiceException' },
}

/** What is not named above is for the caller to put right. */
export function encodeScalingError(error: ErrorRecord, requestId: string): WireReply & { readonly body: string } {
  const { status, type } = ROWS[error.code] ?? VALIDATION
  const headers = { 'content-type': AWS_JSON_TYPE, 'x-amzn-requestid': requestId, 'x-amzn-errortype': type }
  return { status, headers, body: JSON.stringify({ __type: type, message: messageWithParam(error) }) }
}
