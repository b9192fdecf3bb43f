/**
 * A circuit breaker as a pure state machine on a clock's time: closed lets all through, open none, half-open one probe at a time.
 *
 *   closed --threshold failures in a row--> open --its time is over--> half-open --success--> closed
 *                                             ^                            |
 *                                             +-- failure, twice as long --+
 */

export interface BreakerPolicy {
  /** Failures in a row that open it. */
  readonly failureThreshold: number
  readonly openMs: number
  /** Each failed probe doubles the time, up to this. */
  readonly maxOpenMs: number
}

export const DEFAULT_BREAKER_POLICY: BreakerPolicy = { failureThreshold: 5, openMs: 5_000, maxOpenMs: 120_000 }

export type BreakerState =
  | { readonly kind: 'closed'; readonly numFailures: number }
  /** `openMs`: how long this opening lasts. */
  | { readonly kind: 'open'; readonly untilMs: number; readonly openMs: number }
  | { readonly kind: 'half-open'; readonly isProbing: boolean; readonly openMs: number }

export const CLOSED: BreakerState = { kind: 'closed', numFailures: 0 }

/** neutral: it said nothing about the target's health (the caller left, or the target was merely busy). */
export type Outcome = 'success' | 'failure' | 'neutral'

/** Whether a call may go now; the state is then that of a breaker which let it through. */
export function admit(state: BreakerState, nowMs: number): { readonly isAdmitted: boolean; readonly state: BreakerState } {
  switch (state.kind) {
    case 'closed':
      return { isAdmitted: true, state }
    case 'open':
      if (nowMs < state.untilMs) return { isAdmitted: false, state }
      return { isAdmitted: true, state: { kind: 'half-open', isProbing: true, openMs: state.openMs } }
    case 'half-open':
      return state.isProbing ? { isAdmitted: false, state } : { isAdmitted: true, state: { ...state, isProbing: true } }
  }
}

/** What an admitted call's end means. Calls admitted before an opening end in the open state and change nothing. */
export function record(policy: BreakerPolicy, state: BreakerState, outcome: Outcome, nowMs: number): BreakerState {
  if (state.kind === 'open') return state
  if (outcome === 'neutral') return state.kind === 'half-open' ? { ...state, isProbing: false } : state
  if (outcome === 'success') return CLOSED
  if (state.kind === 'half-open') return opened(nowMs, Math.min(state.openMs * 2, policy.maxOpenMs))
  const numFailures = state.numFailures + 1
  return numFailures >= policy.failureThreshold ? opened(nowMs, policy.openMs) : { kind: 'closed', numFailures }
}

function opened(nowMs: number, openMs: number): BreakerState {
  return { kind: 'open', untilMs: nowMs + openMs, openMs }
}
