/** Measured values as mean, percentiles and a cumulative curve. */
import type { Random } from '#base/random'

export interface Distribution {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly max: number
  /** The percentiles 0, 1, ... 100. */
  readonly percentiles: readonly number[]
}

/**
 * The value at the rank `p / 100 * (count - 1)` of ordered values, straight between the two nearest (Hyndman and Fan's type 7, which is also
 * numpy's). `p` is from 0 to 100; there is at least one value.
 */
export function percentile(ordered: ArrayLike<number>, p: number): number {
  const rank = (p * (ordered.length - 1)) / 100
  const below = Math.floor(rank)
  const low = ordered[below] ?? Number.NaN
  const high = ordered[Math.min(below + 1, ordered.length - 1)] ?? low
  return low + (high - low) * (rank - below)
}

/** null = there are no values. */
export function distributionOf(values: ArrayLike<number>): Distribution | null {
  if (values.length === 0) return null
  const ordered = Float64Array.from(values).sort()
  return {
    count: ordered.length,
    mean: ordered.reduce((sum, value) => sum + value, 0) / ordered.length,
    p50: percentile(ordered, 50),
    p90: percentile(ordered, 90),
    p95: percentile(ordered, 95),
    p99: percentile(ordered, 99),
    max: percentile(ordered, 100),
    percentiles: Array.from({ length: 101 }, (_, p) => percentile(ordered, p)),
  }
}

/**
 * Values without a bound on their number: at most `capacity` are kept, each of all with the same chance (Vitter's algorithm R); count, mean and
 * maximum are of all.
 */
export class BoundedSample {
  private readonly kept: number[] = []
  private readonly capacity: number
  private readonly random: Random
  private count = 0
  private sum = 0
  private max = -Infinity

  constructor(capacity: number, random: Random) {
    this.capacity = capacity
    this.random = random
  }

  add(value: number): void {
    this.count++
    this.sum += value
    this.max = Math.max(this.max, value)
    if (this.kept.length < this.capacity) {
      this.kept.push(value)
      return
    }
    const place = this.random.nextInt(this.count)
    if (place < this.capacity) this.kept[place] = value
  }

  distribution(): Distribution | null {
    const kept = distributionOf(this.kept)
    return kept === null ? null : { ...kept, count: this.count, mean: this.sum / this.count, max: this.max }
  }
}
