/** Why a target did not answer, in the classes that a route's fallbacks name. */
import type { ErrorCode } from '#contract/errors'
import type { FinishReason } from '#contract/generate'
import type { Outcome } from './circuit-breaker.ts'

export type FallbackClass = 'busy' | 'failed' | 'timeout' | 'context-length' | 'guardrail' | 'degenerate' | 'loading'

const CLASS_BY_CODE: Partial<Readonly<Record<ErrorCode, FallbackClass>>> = {
  rate_limited: 'busy',
  overloaded: 'busy',
  upstream_failed: 'failed',
  replica_lost: 'failed',
  non_finite_logits: 'failed',
  internal: 'failed',
  deadline_exceeded: 'timeout',
  context_length_exceeded: 'context-length',
  content_blocked: 'guardrail',
  degenerate_output: 'degenerate',
  model_loading: 'loading',
  // A model that could not be loaded says so by this name; a route has checked that the name exists.
  model_not_found: 'failed',
}

/** null: the call itself is at fault, and another target would say the same. */
export function classOf(code: ErrorCode): FallbackClass | null {
  return CLASS_BY_CODE[code] ?? null
}

/** What a whole answer's end is, where it counts as none. */
export function errorOfFinish(reason: FinishReason): ErrorCode | null {
  if (reason === 'content-filter') return 'content_blocked'
  return reason === 'degenerate' ? 'degenerate_output' : null
}

/** What a failure says about the target's health. */
export function outcomeOf(code: ErrorCode): Outcome {
  const failureClass = classOf(code)
  return failureClass === 'failed' || failureClass === 'timeout' ? 'failure' : 'neutral'
}

/** Only what may be gone at the next moment is tried again on the same target; a busy one is not made busier. */
export function isWorthRetry(code: ErrorCode): boolean {
  return code === 'upstream_failed' || code === 'replica_lost'
}
