/** What the errors of several dialects have in common. */
import type { ErrorRecord } from '#contract/errors'

const DEFAULT_RETRY_AFTER_MS = 1000

/** The value of a `retry-after` header: whole seconds, at least one. */
export function retryAfterOf({ retryAfterMs }: Pick<ErrorRecord, 'retryAfterMs'>): string {
  return String(Math.max(1, Math.ceil((retryAfterMs ?? DEFAULT_RETRY_AFTER_MS) / 1000)))
}

/** For dialects without a place for the field at fault: it stands in front, where the message does not name it itself. */
export function messageWithParam({ message, param }: Pick<ErrorRecord, 'message' | 'param'>): string {
  return param === null || message.includes(param) ? message : `${param}: ${message}`
}
