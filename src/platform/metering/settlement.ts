/** What becomes of the things that a call holds when it is over. */
import type { OnlineCall, OnlineEmbedCall, Picodollars } from '#contract/call'
import type { Usage } from '#contract/generate'

export interface SettledCall {
  readonly cost: Picodollars
  readonly usage: Usage
  /** False: it ended before a model began. */
  readonly wasStarted: boolean
}

export interface Settlement {
  /** Exactly once for each call, whether it holds anything or not. Returns the reservation that the call's record replaces; null = none. */
  settle(call: OnlineCall | OnlineEmbedCall, settled: SettledCall): string | null
}

export const NO_SETTLEMENT: Settlement = { settle: () => null }
