/** The object that says why an invocation has no result. */
import { type ErrorRecord, ERRORS, type ErrorCode } from '#contract/errors'

export function encodeFailure({ code, message }: ErrorRecord, inferenceId: string): Uint8Array {
  return Buffer.from(JSON.stringify({ InferenceId: inferenceId, ErrorCode: code, Message: message }))
}

/** Of what `encodeFailure` wrote. Anything else is an internal error: somebody has written over it. */
export function readFailure(bytes: Uint8Array): ErrorRecord {
  const { code, message } = parse(bytes)
  return { code, message, param: null, retryAfterMs: null }
}

function parse(bytes: Uint8Array): { readonly code: ErrorCode; readonly message: string } {
  try {
    const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as { readonly ErrorCode?: unknown; readonly Message?: unknown } | null
    const code = Object.keys(ERRORS).find((each): each is ErrorCode => each === value?.ErrorCode)
    if (code !== undefined && typeof value?.Message === 'string') return { code, message: value.Message }
  } catch {
    // Not JSON.
  }
  return { code: 'internal', message: 'the failure object cannot be read' }
}
