/**
 * Records on their way to the store, in groups, off the path of requests. Promise: a record that was added is written once, in order, or
 * the operator is told; it may be lost only when the process is killed within the delay of one group, or while the store fails. While the
 * store fails records are kept up to a bound; at the bound new calls are refused (`hasRoom`), those that run still find room.
 */
import type { Clock } from '#base/clock'
import { randomId } from '#base/random'
import { InferdError } from '#contract/errors'
import type { LedgerEntry } from '#platform/store/usage-table'
import type { Log } from '#telemetry/log'

export interface LedgerOptions {
  /** Records wait so long for others to be written with. */
  readonly groupMs: number
  readonly maxGroup: number
  readonly maxWaiting: number
}

const DEFAULT_LEDGER_OPTIONS: LedgerOptions = { groupMs: 50, maxGroup: 1000, maxWaiting: 65_536 }

export interface LedgerParts {
  /** What comes again after a failure has the same entries under the same id. */
  readonly write: (entries: readonly LedgerEntry[], groupId: string) => Promise<void>
  readonly clock: Clock
  readonly log: Pick<Log, 'warn' | 'error'>
  readonly options?: LedgerOptions
}

interface WaitingEntry {
  readonly entry: LedgerEntry
  /** Monotonic. */
  readonly addedMs: number
}

/** What the next group may be. */
interface GroupTerms {
  readonly id: string
  readonly maxSize: number
}

const MIN_BACKOFF_MS = 100
const MAX_BACKOFF_MS = 5000
const HURRY = new InferdError('cancelled', 'the ledger is asked to write now')

export class Ledger {
  private readonly parts: LedgerParts
  private readonly options: LedgerOptions
  private waiting: WaitingEntry[] = []
  private running: Promise<void> | null = null
  private pause = new AbortController()
  /** Who wants what was added so far to be written. In order. */
  private flushes: { readonly until: number; readonly resolve: () => void; readonly reject: (error: InferdError) => void }[] = []
  private numAdded = 0
  private numWritten = 0
  private isClosed = false

  constructor(parts: LedgerParts) {
    this.parts = parts
    this.options = parts.options ?? DEFAULT_LEDGER_OPTIONS
  }

  /** False: the store is behind by the bound; no new call may begin. */
  get hasRoom(): boolean {
    return this.waiting.length < this.options.maxWaiting
  }

  get numWaiting(): number {
    return this.waiting.length
  }

  /** Age of the oldest record that is not written, milliseconds. */
  get lagMs(): number {
    const [oldest] = this.waiting
    return oldest === undefined ? 0 : this.parts.clock.nowMs() - oldest.addedMs
  }

  add(entry: LedgerEntry): void {
    this.numAdded++
    this.waiting.push({ entry, addedMs: this.parts.clock.nowMs() })
    this.running ??= this.run()
  }

  /** Resolves when what was added before is written; waits as long as the store fails. Rejects with store_failed when the ledger is closed first. */
  flush(): Promise<void> {
    if (this.waiting.length === 0) return Promise.resolve()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.flushes.push({ until: this.numAdded, resolve, reject })
    this.pause.abort(HURRY)
    return promise
  }

  /** Writes what is left. What the store does not take in time is told to the operator. */
  async close(graceMs: number): Promise<void> {
    const { clock, log } = this.parts
    const over = new AbortController()
    const written = this.flush()
    written.catch(() => {})
    await Promise.race([written, clock.sleep(graceMs, over.signal).catch(() => {})])
    over.abort(HURRY)
    this.isClosed = true
    this.pause.abort(HURRY)
    for (const { reject } of this.flushes) reject(new InferdError('store_failed', 'the ledger is closed'))
    if (this.waiting.length > 0) log.error({ records: this.waiting.length, lagMs: Math.round(this.lagMs) }, 'usage records could not be written')
  }

  private async run(): Promise<void> {
    let backoffMs = 0
    let next: GroupTerms | null = null
    while (this.waiting.length > 0 && !this.isClosed) {
      await this.rest(Math.max(backoffMs, this.flushes.length > 0 ? 0 : this.options.groupMs))
      if (this.isClosed) break
      // A failed commit may have happened: the same group goes again, and is known by its id.
      const terms: GroupTerms = next ?? { id: randomId('usage'), maxSize: this.options.maxGroup }
      const group = this.waiting.slice(0, terms.maxSize)
      try {
        await this.parts.write(
          group.map(({ entry }) => entry),
          terms.id,
        )
        this.waiting = this.waiting.slice(group.length)
        this.numWritten += group.length
        while (this.flushes[0] !== undefined && this.flushes[0].until <= this.numWritten) this.flushes.shift()?.resolve()
        backoffMs = 0
        next = null
      } catch (err) {
        next = { id: terms.id, maxSize: group.length }
        if (backoffMs === 0) this.parts.log.error({ err, records: this.waiting.length }, 'usage records wait: the store does not take them')
        backoffMs = Math.min(MAX_BACKOFF_MS, Math.max(MIN_BACKOFF_MS, backoffMs * 2))
      }
    }
    this.running = null
  }

  private async rest(durationMs: number): Promise<void> {
    if (durationMs === 0) return
    this.pause = new AbortController()
    await this.parts.clock.sleep(durationMs, this.pause.signal).catch(() => {})
  }
}
