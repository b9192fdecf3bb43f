/**
 * The error registry: every way in which a request, a model or the system can fail, by a stable code.
 * Three kinds: a `rejection` (the caller can fix or retry), a `failure` (the world broke), a `bug` (ours).
 * Each protocol maps every code to its wire form; the compiler checks that none is missing.
 */
interface ErrorSpec {
  readonly kind: 'rejection' | 'failure' | 'bug'
  /** Whether the same call may succeed later without a change. */
  readonly retryable: boolean
}

export const ERRORS = {
  /** Body is not one JSON object: bad UTF-8, truncated, too deep, trailing bytes. */
  malformed_body: { kind: 'rejection', retryable: false },
  /** The HTTP framing itself is invalid. */
  malformed_request: { kind: 'rejection', retryable: false },
  /** A field has a wrong type, range or combination; `param` names it. */
  invalid_parameter: { kind: 'rejection', retryable: false },
  /** A field is known but its meaning is not offered here; `param` names it. */
  unsupported_parameter: { kind: 'rejection', retryable: false },
  /** Prompt (plus requested output) does not fit the model's context. */
  context_length_exceeded: { kind: 'rejection', retryable: false },
  /** No credential was given. */
  unauthenticated: { kind: 'rejection', retryable: false },
  /** A credential was given that is unknown, revoked or expired; the words are the same for each. */
  invalid_credentials: { kind: 'rejection', retryable: false },
  /** A SigV4 signature does not belong to this request. */
  signature_mismatch: { kind: 'rejection', retryable: false },
  /** A SigV4 date is too far from our clock. */
  signature_expired: { kind: 'rejection', retryable: false },
  /** A SigV4 header lacks a part. */
  incomplete_signature: { kind: 'rejection', retryable: false },
  /** Temporary credentials came after their end. */
  session_expired: { kind: 'rejection', retryable: false },
  forbidden: { kind: 'rejection', retryable: false },
  model_not_found: { kind: 'rejection', retryable: false },
  /** A guardrail, a stored response, a file: something else than a model. */
  resource_not_found: { kind: 'rejection', retryable: false },
  /** The thing exists already, or an idempotency key came with another body. */
  conflict: { kind: 'rejection', retryable: false },
  route_not_found: { kind: 'rejection', retryable: false },
  method_not_allowed: { kind: 'rejection', retryable: false },
  payload_too_large: { kind: 'rejection', retryable: false },
  headers_too_large: { kind: 'rejection', retryable: false },
  unsupported_media_type: { kind: 'rejection', retryable: false },
  /** Host header does not name this server (DNS rebinding). */
  misdirected_host: { kind: 'rejection', retryable: false },
  /** The client sent its request too slowly. */
  request_timeout: { kind: 'rejection', retryable: true },
  /** The caller is over a rate of its own; `retryAfterMs` says when there is room. */
  rate_limited: { kind: 'rejection', retryable: true },
  /** The caller's money for this period is spent or reserved. */
  budget_exceeded: { kind: 'rejection', retryable: false },
  /** More of something than is left to be had; the message has want and left. */
  quota_exceeded: { kind: 'rejection', retryable: false },
  /** A guardrail blocked what has no answer to be replaced by, as an embedding. */
  content_blocked: { kind: 'rejection', retryable: false },
  /** A bounded queue is full, or the server sheds load. */
  overloaded: { kind: 'rejection', retryable: true },
  model_loading: { kind: 'rejection', retryable: true },
  shutting_down: { kind: 'rejection', retryable: true },
  /** The caller went away; seen only by logs and metrics. */
  cancelled: { kind: 'rejection', retryable: false },
  deadline_exceeded: { kind: 'failure', retryable: true },
  /** The worker process died or stopped answering. */
  replica_lost: { kind: 'failure', retryable: true },
  /** The model computed NaN or infinity: no text is better than garbage. */
  non_finite_logits: { kind: 'failure', retryable: false },
  /** The quality monitor gave the answer up and no other model may answer. */
  degenerate_output: { kind: 'failure', retryable: true },
  /** A remote server that stands behind a model failed or cannot be reached. */
  upstream_failed: { kind: 'failure', retryable: true },
  /** The store or the object store does not answer. */
  store_failed: { kind: 'failure', retryable: true },
  /** A model file is damaged or hostile; the message names field and byte. For the operator. */
  invalid_model_file: { kind: 'failure', retryable: false },
  /** A model file is sound but asks for what we do not run. For the operator. */
  unsupported_model: { kind: 'failure', retryable: false },
  /** Weights, KV blocks or activations do not fit; the message has need and have. */
  insufficient_memory: { kind: 'failure', retryable: false },
  internal: { kind: 'bug', retryable: true },
} as const satisfies Record<string, ErrorSpec>

export type ErrorCode = keyof typeof ERRORS

export interface ErrorDetails {
  /** The offending field. From a protocol: its JSON path in the caller's words, `messages[3].content`. From the engine: a RequestPlace. */
  readonly param?: string
  readonly retryAfterMs?: number
  readonly cause?: unknown
}

/** The only error that crosses rooms on purpose. The message is safe to show: no path, no stack, no prompt text. */
export class InferdError extends Error {
  override readonly name = 'InferdError'
  readonly code: ErrorCode
  readonly param: string | null
  readonly retryAfterMs: number | null

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.param = details.param ?? null
    this.retryAfterMs = details.retryAfterMs ?? null
  }
}

/** The form in which an error travels between processes and inside events. */
export interface ErrorRecord {
  readonly code: ErrorCode
  readonly message: string
  readonly param: string | null
  readonly retryAfterMs: number | null
}

/** Anything thrown becomes a record; what is not ours becomes `internal` and keeps its words out of the wire. */
export function toErrorRecord(error: unknown): ErrorRecord {
  if (error instanceof InferdError) {
    return { code: error.code, message: error.message, param: error.param, retryAfterMs: error.retryAfterMs }
  }
  return { code: 'internal', message: 'internal error', param: null, retryAfterMs: null }
}

export function fromErrorRecord(record: ErrorRecord): InferdError {
  return new InferdError(record.code, record.message, {
    ...(record.param === null ? {} : { param: record.param }),
    ...(record.retryAfterMs === null ? {} : { retryAfterMs: record.retryAfterMs }),
  })
}
