/**
 * Errors as AWS's Security Token Service tells them, in XML. Source: the query protocol of botocore's service model `sts` 2011-06-15, and
 * "Common errors" of its API reference.
 */
import { ERRORS, type ErrorCode, type ErrorRecord } from '#contract/errors'
import { messageWithParam, retryAfterOf } from '#server/error-parts'
import type { WireError } from '#server/operation'

export const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/'
export const XML = 'text/xml; charset=utf-8'

const MAX_MESSAGE_LENGTH = 1024

const MISMATCH = [403, 'SignatureDoesNotMatch'] as const
const DENIED = [403, 'AccessDenied'] as const
const INVALID_ACTION = [400, 'InvalidAction'] as const
const UNAVAILABLE = [503, 'ServiceUnavailable'] as const

/** What is not here follows from the kind: the caller's request is not valid, or the server failed. */
const ROWS: Readonly<Partial<Record<ErrorCode, readonly [status: number, code: string]>>> = {
  unauthenticated: [403, 'MissingAuthenticationToken'],
  invalid_credentials: [403, 'InvalidClientTokenId'],
  signature_mismatch: MISMATCH,
  signature_expired: MISMATCH,
  incomplete_signature: [400, 'IncompleteSignature'],
  session_expired: [403, 'ExpiredToken'],
  forbidden: DENIED,
  conflict: DENIED,
  resource_not_found: DENIED,
  route_not_found: INVALID_ACTION,
  method_not_allowed: INVALID_ACTION,
  rate_limited: [400, 'Throttling'],
  overloaded: UNAVAILABLE,
  shutting_down: UNAVAILABLE,
  store_failed: UNAVAILABLE,
}

export function encodeError(error: ErrorRecord, requestId: string): WireError & { readonly body: string } {
  const { kind, retryable } = ERRORS[error.code]
  const isRejection = kind === 'rejection'
  const [status, code] = ROWS[error.code] ?? (isRejection ? [400, 'ValidationError'] : [500, 'InternalFailure'])
  const headers: Record<string, string> = { 'content-type': XML, 'x-amzn-requestid': requestId }
  if (retryable) headers['retry-after'] = retryAfterOf(error)
  const parts =
    xml('Type', status < 500 ? 'Sender' : 'Receiver') + xml('Code', code) + xml('Message', messageWithParam(error).slice(0, MAX_MESSAGE_LENGTH))
  const body = `<ErrorResponse xmlns="${NAMESPACE}"><Error>${parts}</Error>${xml('RequestId', requestId)}</ErrorResponse>`
  return { status, headers, body }
}

/** An element with text; characters that XML 1.0 cannot hold become U+FFFD. */
export function xml(name: string, text: string): string {
  const held = text.toWellFormed().replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '\ufffd')
  return `<${name}>${held.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')}</${name}>`
}
