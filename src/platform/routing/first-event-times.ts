/** How long a target takes to its first piece: the last calls only, so that the figure follows the target. */

const MAX_SAMPLES = 128
const MIN_SAMPLES = 16

/** A ring: `samples[next]` is the oldest once it is full. Milliseconds. */
export class FirstEventTimes {
  private readonly samples: number[] = []
  private next = 0

  add(durationMs: number): void {
    this.samples[this.next] = durationMs
    this.next = (this.next + 1) % MAX_SAMPLES
  }

  /** Nearest rank; null while there are too few samples to say. */
  quantileMs(quantile: number): number | null {
    if (this.samples.length < MIN_SAMPLES) return null
    const sorted = this.samples.toSorted((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.ceil(quantile * sorted.length) - 1)] ?? null
  }
}
