/** Every error code as clients of the SageMaker control plane know it. Shapes: the service model of SageMaker, 2017-07-24; AWS JSON 1.1. */
import type { ErrorCode, ErrorRecord } from '#contract/errors'
import { AWS_JSON_TYPE } from '#server/aws-json/answer-operation'
import { messageWithParam, retryAfterOf } from '#server/error-parts'
import type { WireReply } from '#server/operation'

interface WireRow {
  readonly status: number
  readonly type: string
}

const VALIDATION: WireRow = { status: 400, type: 'ValidationException' }
const ROWS: Readonly<Partial<Record<ErrorCode, WireRow>>> = {
  malformed_body: { status: 400, type: 'SerializationException' },
  resource_not_found: { status: 400, type: 'ResourceNotFound' },
  conflict: { status: 400, type: 'ResourceInUse' },
  overloaded: { status: 400, type: 'ResourceLimitExceeded' },
  quota_exceeded: { status: 400, type: 'ResourceLimitExceeded' },
  rate_limited: { status: 400, type: 'ThrottlingException' },
  forbidden: { status: 400, type: 'AccessDeniedException' },
  shutting_down: { status: 503, type: 'ServiceUnavailable' },
  store_failed: { status: 500, type: 'InternalFailure' },
  internal: { status: 500, type: 'InternalFailure' },
}
const MAX_MESSAGE_LENGTH = 2048

/** What is not named above is for the caller to put right. */
export function encodeControlError(error: ErrorRecord, requestId: string): WireReply {
  const { status, type } = ROWS[error.code] ?? VALIDATION
  const headers: Record<string, string> = { 'content-type': AWS_JSON_TYPE, 'x-amzn-requestid': requestId, 'x-amzn-errortype': type }
  if (status === 503) headers['retry-after'] = retryAfterOf(error)
  return { status, headers, body: JSON.stringify({ __type: type, message: messageWithParam(error).slice(0, MAX_MESSAGE_LENGTH) }) }
}
