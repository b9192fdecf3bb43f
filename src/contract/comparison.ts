/** How the variants of an endpoint, or two generations of one, did beside each other: differences with their uncertainty. */

/** times: milliseconds; cost: US dollars a request; rates: [0, 1]. */
export type ComparedMetric = 'ttft' | 'ttft-p95' | 'tpot' | 'duration' | 'error-rate' | 'cost' | 'output-tokens'

/** too-little-data: fewer than 30 calls on a side. changed: it differs, and nobody says which way is better. */
export type Verdict = 'better' | 'worse' | 'changed' | 'no-difference-shown' | 'too-little-data'

export interface MetricComparison {
  readonly metric: ComparedMetric
  /** Times but ttft-p95: geometric means. null = none was measured. */
  readonly baseline: number | null
  readonly candidate: number | null
  /** ratio: candidate over baseline; difference: candidate less baseline. null = it cannot be said. */
  readonly scale: 'ratio' | 'difference'
  readonly estimate: number | null
  readonly low: number | null
  readonly high: number | null
  readonly verdict: Verdict
  /** On each side, to see a difference of a tenth (of rates: one in a hundred) in four of five tries; null = it cannot be said. */
  readonly callsNeeded: number | null
}

export interface ComparedUnit {
  /** `variant@generation`. */
  readonly name: string
  readonly isShadow: boolean
  readonly numCalls: number
  readonly numErrors: number
  /** Answered calls whose times were looked at, the newest. */
  readonly numSampled: number
}

export interface UnitComparison {
  readonly candidate: ComparedUnit
  readonly metrics: readonly MetricComparison[]
}

export interface Comparison {
  readonly endpoint: string
  readonly fromMs: number
  readonly toMs: number
  readonly baseline: ComparedUnit
  readonly comparisons: readonly UnitComparison[]
  /** Of all verdicts together; each interval is as much wider (Bonferroni) as there are of them. */
  readonly confidence: number
  readonly numVerdicts: number
}

export interface ComparisonQuery {
  readonly endpoint: string
  /** A variant, or `variant@generation`; null = the heaviest of the newest generation, or the generation before it. */
  readonly baseline: string | null
  readonly fromMs: number | null
  readonly toMs: number | null
}

export interface ComparisonDesk {
  /** Throws resource_not_found for an endpoint, invalid_parameter for a baseline that had no calls, and where there is nothing to compare. */
  compare(query: ComparisonQuery): Promise<Comparison>
}
