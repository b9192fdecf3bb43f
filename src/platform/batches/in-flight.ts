/** Records that run at a time: bounded by number and by bytes. The first failure ends it for all. */

export interface InFlightLimits {
  readonly maxRecords: number
  /** One record may be larger, alone. */
  readonly maxBytes: number
}

export class InFlight {
  private readonly limits: InFlightLimits
  private readonly running = new Set<Promise<void>>()
  private readonly failing = new AbortController()
  private numBytes = 0
  private failure: { readonly error: unknown } | null = null
  /** Aborts with the signal from above, and when a record fails. */
  readonly signal: AbortSignal

  constructor(limits: InFlightLimits, signal: AbortSignal) {
    this.limits = limits
    this.signal = AbortSignal.any([signal, this.failing.signal])
  }

  /** Resolves when the work has begun. Throws what another one has failed of. */
  async start(numBytes: number, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { maxRecords, maxBytes } = this.limits
    while (this.running.size > 0 && (this.running.size >= maxRecords || this.numBytes + numBytes > maxBytes)) {
      await Promise.race(this.running)
      this.rethrow()
    }
    this.rethrow()
    this.numBytes += numBytes
    const run = work(this.signal)
      .catch((error: unknown) => {
        this.failure ??= { error }
        this.failing.abort(error)
      })
      .finally(() => {
        this.numBytes -= numBytes
        this.running.delete(run)
      })
    this.running.add(run)
  }

  /** Resolves when all have ended; none runs any more when it has, whether it throws or not. */
  async drain(): Promise<void> {
    await Promise.all(this.running)
    this.rethrow()
  }

  /** As drain, for who has failed already. */
  async cancel(reason: unknown): Promise<void> {
    this.failure ??= { error: reason }
    this.failing.abort(reason)
    await Promise.all(this.running)
  }

  private rethrow(): void {
    if (this.failure !== null) throw this.failure.error
  }
}
