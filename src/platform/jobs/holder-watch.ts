/**
 * Which other holders have died: those whose beat stands still for as long as a lease by our own monotonic clock, and those that somebody
 * knows to be gone. No clock is compared with another one, so that none that jumps ends a lease.
 */
import type { Clock } from '#base/clock'
import type { JobHolderRow } from '#platform/store/job-rows'

export interface HolderWatchOptions {
  readonly leaseMs: number
  readonly clock: Pick<Clock, 'nowMs'>
  /** Sooner than its lease: a process of this machine that has ended. */
  readonly isGone: (holder: string) => boolean
}

export class HolderWatch {
  private readonly options: HolderWatchOptions
  private readonly seen = new Map<string, { readonly beat: number; readonly sinceMs: number }>()

  constructor(options: HolderWatchOptions) {
    this.options = options
  }

  /** All holders but ourselves, as they are now. Those that are to be dropped. */
  look(holders: readonly JobHolderRow[]): readonly JobHolderRow[] {
    const { leaseMs, clock, isGone } = this.options
    const nowMs = clock.nowMs()
    const ids = new Set(holders.map(({ id }) => id))
    for (const id of this.seen.keys()) if (!ids.has(id)) this.seen.delete(id)
    return holders.filter(({ id, beat }) => {
      const before = this.seen.get(id)
      if (before?.beat !== beat) this.seen.set(id, { beat, sinceMs: nowMs })
      return isGone(id) || (before?.beat === beat && nowMs - before.sinceMs >= leaseMs)
    })
  }
}
