/** An invocation that is answered later, as its caller sees it. docs/reference/async-inference.md is the user's copy. */
import type { Invocation } from '#contract/invocation'

export function encodeInvocation(invocation: Invocation): object {
  const { state, error } = invocation
  const hasEnded = invocation.endedMs !== null
  return {
    object: 'async_invocation',
    id: invocation.id,
    inference_id: invocation.inferenceId,
    endpoint: invocation.endpoint,
    state,
    attempt: invocation.attempt,
    counts: { total: 1, succeeded: state === 'succeeded' ? 1 : 0, failed: hasEnded && state !== 'succeeded' ? 1 : 0 },
    input_location: invocation.inputLocation,
    output_location: invocation.outputLocation,
    failure_location: invocation.failureLocation,
    created_at: timeText(invocation.createdMs),
    started_at: timeText(invocation.startedMs),
    ended_at: timeText(invocation.endedMs),
    start_by: timeText(invocation.startByMs),
    cancel_requested_at: timeText(invocation.cancelRequestedMs),
    error: error === null ? null : { code: error.code, message: error.message },
  }
}

function timeText(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
