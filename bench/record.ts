/** One measured figure, as every suite prints it: one JSON line per case and metric. */
export interface BenchRecord {
  readonly suite: string
  readonly case: string
  readonly metric: string
  readonly unit: string
  /** Median over the rounds. */
  readonly value: number
  /** Largest over smallest of the rounds. */
  readonly spread: number
  readonly peer?: string
  readonly peerValue?: number
  /** Median of the ratios pair by pair, ours over the peer's. */
  readonly ratio?: number
  /** What the machine could give at most, in the same unit. */
  readonly limit?: number
  /** The value over the limit. */
  readonly shareOfLimit?: number
}
