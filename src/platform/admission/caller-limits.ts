/** The rates and counts of each key and team: asked together, taken together. */
import type { Random } from '#base/random'
import { InferdError } from '#contract/errors'
import type { CallerLimits, Principal } from '#contract/principal'
import { RateLimit } from './rate-limit.ts'

interface CallerState {
  limits: CallerLimits
  requests: RateLimit | null
  tokens: RateLimit | null
  numRunning: number
}

/** What one call has taken; null = its caller has no limits. */
export type CallerHold = readonly CallerState[] | null

const CONCURRENCY_RETRY_MS = 1000
const JITTER = 0.1
const MAX_STATES = 10_000

export class CallerLimitTable {
  private readonly states = new Map<string, CallerState>()
  private readonly random: Random

  constructor(random: Random) {
    this.random = random
  }

  /** Throws rate_limited; then nothing was taken. */
  take({ keyId, team, limits, teamLimits }: Principal, tokens: number, nowMs: number): CallerHold {
    const states: CallerState[] = []
    if (hasLimits(limits)) states.push(this.stateOf(`key ${keyId}`, limits, nowMs))
    if (hasLimits(teamLimits)) states.push(this.stateOf(`team ${team}`, teamLimits, nowMs))
    if (states.length === 0) return null
    for (const state of states) this.check(state, tokens, nowMs)
    for (const state of states) {
      state.requests?.take(1, nowMs)
      state.tokens?.take(tokens, nowMs)
      state.numRunning++
    }
    return states
  }

  /** `usedTokens - takenTokens` is paid or given back. `wasStarted`: false gives the request back too. */
  release(
    hold: CallerHold,
    {
      takenTokens,
      usedTokens,
      wasStarted,
      nowMs,
    }: { readonly takenTokens: number; readonly usedTokens: number; readonly wasStarted: boolean; readonly nowMs: number },
  ): void {
    for (const state of hold ?? []) {
      state.numRunning--
      state.tokens?.correct(usedTokens - takenTokens, nowMs)
      if (!wasStarted) state.requests?.correct(-1, nowMs)
    }
  }

  private check({ limits, requests, tokens, numRunning }: CallerState, numTokens: number, nowMs: number): void {
    if (limits.maxConcurrentRequests !== null && numRunning >= limits.maxConcurrentRequests) {
      throw this.refusal(`at most ${limits.maxConcurrentRequests} requests may run at a time`, CONCURRENCY_RETRY_MS)
    }
    const requestsMs = requests?.waitMs(1, nowMs) ?? 0
    if (requestsMs > 0) throw this.refusal(`at most ${limits.requestsPerMinute} requests a minute`, requestsMs)
    const tokensMs = tokens?.waitMs(numTokens, nowMs) ?? 0
    if (tokensMs > 0) throw this.refusal(`at most ${limits.tokensPerMinute} tokens a minute`, tokensMs)
  }

  /** Never earlier than there is room. */
  private refusal(words: string, waitMs: number): InferdError {
    return new InferdError('rate_limited', `the limit of this key or team is reached: ${words}`, {
      retryAfterMs: Math.ceil(waitMs * (1 + JITTER * this.random.nextFloat())),
    })
  }

  private stateOf(id: string, limits: CallerLimits, nowMs: number): CallerState {
    const known = this.states.get(id)
    if (known !== undefined) {
      if (known.limits !== limits) adapt(known, limits)
      return known
    }
    if (this.states.size >= MAX_STATES) this.forgetIdle(nowMs)
    const state: CallerState = { limits, requests: rateOf(limits.requestsPerMinute), tokens: rateOf(limits.tokensPerMinute), numRunning: 0 }
    this.states.set(id, state)
    return state
  }

  private forgetIdle(nowMs: number): void {
    for (const [id, { requests, tokens, numRunning }] of this.states) {
      if (numRunning === 0 && (requests?.isIdle(nowMs) ?? true) && (tokens?.isIdle(nowMs) ?? true)) this.states.delete(id)
    }
  }
}

function hasLimits({ requestsPerMinute, tokensPerMinute, maxConcurrentRequests }: CallerLimits): boolean {
  return requestsPerMinute !== null || tokensPerMinute !== null || maxConcurrentRequests !== null
}

/** The operator changed a limit: what was owed at the old rate is forgotten. */
function adapt(state: CallerState, limits: CallerLimits): void {
  if (limits.requestsPerMinute !== state.limits.requestsPerMinute) state.requests = rateOf(limits.requestsPerMinute)
  if (limits.tokensPerMinute !== state.limits.tokensPerMinute) state.tokens = rateOf(limits.tokensPerMinute)
  state.limits = limits
}

function rateOf(unitsPerMinute: number | null): RateLimit | null {
  return unitsPerMinute === null ? null : new RateLimit(unitsPerMinute)
}
