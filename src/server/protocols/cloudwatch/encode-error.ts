/** Every error code as clients of CloudWatch know it. Shapes: its service model, 2010-08-01, with the codes of its query protocol. */
import { type ErrorCode, type ErrorRecord, ERRORS } from '#contract/errors'
import { messageWithParam } from '#server/error-parts'

export interface AlarmError {
  readonly status: number
  readonly type: string
  readonly message: string
}

type Row = readonly [status: number, type: string]

const ROWS: Readonly<Partial<Record<ErrorCode, Row>>> = {
  malformed_body: [400, 'SerializationException'],
  resource_not_found: [404, 'ResourceNotFound'],
  conflict: [429, 'ConcurrentModificationException'],
  overloaded: [400, 'LimitExceeded'],
  rate_limited: [400, 'Throttling'],
  unauthenticated: [403, 'MissingAuthenticationToken'],
  invalid_credentials: [403, 'UnrecognizedClientException'],
  signature_mismatch: [403, 'InvalidSignatureException'],
  signature_expired: [403, 'InvalidSignatureException'],
  incomplete_signature: [400, 'IncompleteSignature'],
  session_expired: [403, 'ExpiredToken'],
  forbidden: [403, 'AccessDenied'],
  shutting_down: [503, 'ServiceUnavailable'],
  store_failed: [500, 'InternalServiceFault'],
  internal: [500, 'InternalServiceFault'],
}
const VALIDATION: Row = [400, 'ValidationError']
const FAULT: Row = [500, 'InternalServiceFault']

export function alarmError(error: ErrorRecord): AlarmError {
  const [status, type] = ROWS[error.code] ?? (ERRORS[error.code].kind === 'rejection' ? VALIDATION : FAULT)
  return { status, type, message: messageWithParam(error) }
}
