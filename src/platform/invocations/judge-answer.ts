/** What an answer of the server's own routes means for an invocation. Statuses: src/server/protocols/sagemaker/encode-error.ts. */
import { type ErrorCode, InferdError } from '#contract/errors'
import type { WireAnswer } from '#contract/job'

export type Verdict =
  | { readonly kind: 'answer'; readonly answer: WireAnswer }
  /** There is no place now: as if it still waited in the queue. null = the answer names no time. */
  | { readonly kind: 'wait'; readonly retryAfterMs: number | null }
  /** Another attempt may heal it. */
  | { readonly kind: 'retry'; readonly error: InferdError }
  /** The same call will always end so. */
  | { readonly kind: 'failure'; readonly error: InferdError }

const MAX_MESSAGE_LENGTH = 2048

export function judgeAnswer(answer: WireAnswer): Verdict {
  const { status, headers, body } = answer
  if (status >= 200 && status < 300) return { kind: 'answer', answer }
  if (status === 429 || status === 503) return { kind: 'wait', retryAfterMs: retryAfterOf(headers) }
  const { originalStatus, message } = readFields(body)
  const judged = originalStatus ?? status
  const error = new InferdError(codeOf(judged), message)
  return { kind: judged >= 500 && judged !== 504 ? 'retry' : 'failure', error }
}

function retryAfterOf(headers: WireAnswer['headers']): number | null {
  const seconds = Number(headers['retry-after'] ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null
}

/** `Message` already says what the model has answered. */
function readFields(body: Uint8Array): { readonly originalStatus: number | null; readonly message: string } {
  const { OriginalStatusCode: status, Message: message } = parse(Buffer.from(body).toString('utf8'))
  return {
    originalStatus: typeof status === 'number' ? status : null,
    message: (typeof message === 'string' ? message : 'the endpoint gave no reason').slice(0, MAX_MESSAGE_LENGTH),
  }
}

function parse(text: string): { readonly OriginalStatusCode?: unknown; readonly Message?: unknown } {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

function codeOf(status: number): ErrorCode {
  switch (status) {
    case 403:
      return 'forbidden'
    case 413:
      return 'payload_too_large'
    case 415:
      return 'unsupported_media_type'
    case 504:
      return 'deadline_exceeded'
    case 502:
      return 'upstream_failed'
    case 530:
      return 'store_failed'
    default:
      return status >= 500 ? 'replica_lost' : 'invalid_parameter'
  }
}
