/** What an upstream's refusal means for our caller. Its own words stay with us: they may hold names, keys and prompts. */
import { InferdError, type ErrorCode } from '#contract/errors'

const MAX_RETRY_AFTER_MS = 3_600_000
const CONTEXT_WORDS = new RegExp(
  [
    'context.{0,20}(length|window|size)',
    'maximum.{0,20}(context|model).{0,20}len',
    '(prompt|input) is too long',
    'too many (input )?tokens',
    'exceeds? the (available )?context',
    'context_length_exceeded',
  ].join('|'),
  'i',
)

export interface UpstreamRefusal {
  readonly status: number
  readonly retryAfter: string | null
  /** The beginning of the body, or the words of an error event. Judged, never passed on. */
  readonly text: string
}

/** 401 and 403 are the operator's mistake, not the caller's: a failure, whose cause names the status for the log. */
export function refusalError(model: string, { status, retryAfter, text }: UpstreamRefusal): InferdError {
  const retryAfterMs = readRetryAfter(retryAfter)
  const details = retryAfterMs === null ? {} : { retryAfterMs }
  if ((status === 400 || status === 413 || status === 422) && CONTEXT_WORDS.test(text))
    return new InferdError('context_length_exceeded', `the prompt is too long for the model '${model}'`)
  switch (status) {
    case 400:
    case 422:
      return new InferdError('invalid_parameter', `the server behind the model '${model}' does not accept the request`)
    case 413:
      return new InferdError('payload_too_large', `the request is too large for the server behind the model '${model}'`)
    case 408:
    case 504:
      return new InferdError('deadline_exceeded', `the server behind the model '${model}' took too long`)
    case 429:
      return new InferdError('rate_limited', `the server behind the model '${model}' takes no more requests now`, details)
    case 503:
    case 529:
      return new InferdError('overloaded', `the server behind the model '${model}' is overloaded`, details)
    default:
      return new InferdError('upstream_failed', `the server behind the model '${model}' failed with status ${status}`, details)
  }
}

/** An error inside a stream, by the type that the upstream's dialect gives it. */
export function streamError(model: string, type: string, text: string): InferdError {
  return refusalError(model, { status: STATUS_BY_TYPE[type.toLowerCase()] ?? 502, retryAfter: null, text })
}

const STATUS_BY_TYPE: Readonly<Record<string, number>> = {
  overloaded_error: 529,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  invalid_request_error: 400,
  timeout_error: 504,
  throttlingexception: 429,
  validationexception: 400,
  serviceunavailableexception: 503,
  modelnotreadyexception: 503,
  modeltimeoutexception: 504,
}

export function brokenAnswer(model: string, cause?: unknown): InferdError {
  return new InferdError('upstream_failed', `the server behind the model '${model}' sent an answer that cannot be read`, { cause })
}

/** The caller's part of the fault, by name. */
export function notOffered(param: string, model: string): InferdError {
  const code: ErrorCode = 'unsupported_parameter'
  return new InferdError(code, `the server behind the model '${model}' does not offer this`, { param })
}

function readRetryAfter(text: string | null): number | null {
  const seconds = text === null || !/^\d{1,6}(\.\d{1,3})?$/.test(text.trim()) ? null : Number(text)
  return seconds === null ? null : Math.min(MAX_RETRY_AFTER_MS, Math.ceil(seconds * 1000))
}
