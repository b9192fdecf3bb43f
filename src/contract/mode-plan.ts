/** Which way of buying a model is the cheapest for the traffic that it had. Money in US dollars: estimates, not bills. */
import type { Commitment } from '#contract/provisioned'
import type { UsageFilter } from '#contract/usage-record'

export type BuyingMode = 'on-demand' | 'batch' | 'serverless' | 'provisioned'

/** What was measured, and what it would be in a month of 730 hours. */
export interface MeasuredTraffic {
  readonly fromMs: number
  readonly toMs: number
  readonly numRequests: number
  readonly inputTokens: number
  readonly outputTokens: number
  /** In which the model computed for these calls. */
  readonly billedMs: number
  /** Prompt (not from the cache) and output tokens of the fullest minute. */
  readonly peakInputPerMinute: number
  readonly peakOutputPerMinute: number
  /** Of all tokens, those that came as batches or in the tier flex: they could wait. */
  readonly patientShare: number
}

export interface ModeCost {
  readonly mode: BuyingMode
  readonly commitment: Commitment
  /** A month; null = no price: `missing` says which setting. */
  readonly usdPerMonth: number | null
  readonly missing: string | null
  /** Of provisioned throughput. */
  readonly units: number | null
  /** Of what the units could do, [0, 1]. */
  readonly utilisation: number | null
  /** Of the tokens, those beyond the units, paid on demand, [0, 1]. */
  readonly spilledShare: number | null
}

/** Where two ways cost the same, if the mix of the traffic stays what it is. */
export interface BreakEven {
  readonly cheaperBelow: BuyingMode
  readonly cheaperAbove: BuyingMode
  /** Tokens a month, or milliseconds of computing a request. */
  readonly measure: 'tokens-per-month' | 'ms-per-request'
  readonly at: number
  /** What it was, in the same measure. */
  readonly measured: number
}

export interface ModePlan {
  readonly model: string
  readonly traffic: MeasuredTraffic
  /** Cheapest first; those without a price at the end. */
  readonly modes: readonly ModeCost[]
  /** Among those that serve all of it at once; null = none has a price. */
  readonly cheapest: ModeCost | null
  readonly breakEvens: readonly BreakEven[]
  /** Why not to rely on it. */
  readonly doubts: readonly string[]
}

export interface ModePlanner {
  /** One for each model that had traffic, the dearest first. Throws invalid_parameter for more time than is looked at. */
  plans(filter: UsageFilter): Promise<readonly ModePlan[]>
}
