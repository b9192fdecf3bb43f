/** Reservations on their way to the store: those of one moment are one statement, and a call waits until its own is there. */
import { InferdError } from '#contract/errors'
import type { Reservation } from '#platform/store/usage-table'

export interface ReservationStore {
  insert(reservations: readonly Reservation[]): Promise<void>
  forget(ids: readonly string[]): Promise<void>
}

export class ReservationLog {
  private readonly store: ReservationStore
  private waiting: { readonly reservation: Reservation; readonly resolve: () => void; readonly reject: (error: InferdError) => void }[] = []
  private given: string[] = []
  private isWriting = false

  constructor(store: ReservationStore) {
    this.store = store
  }

  /** Resolves when it is committed. Rejects with store_failed. */
  add(reservation: Reservation): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.waiting.push({ reservation, resolve, reject })
    if (!this.isWriting) void this.write()
    return promise
  }

  /** Its call was never dispatched. What cannot be forgotten expires. */
  forget(id: string): void {
    this.given.push(id)
    if (!this.isWriting) void this.write()
  }

  private async write(): Promise<void> {
    this.isWriting = true
    await Promise.resolve()
    while (this.waiting.length > 0 || this.given.length > 0) {
      const group = this.waiting
      const given = this.given
      this.waiting = []
      this.given = []
      try {
        if (group.length > 0) await this.store.insert(group.map(({ reservation }) => reservation))
        for (const { resolve } of group) resolve()
      } catch (cause) {
        for (const { reject } of group) reject(new InferdError('store_failed', 'the store does not answer', { cause }))
      }
      if (given.length > 0) await this.store.forget(given).catch(() => {})
    }
    this.isWriting = false
  }
}
