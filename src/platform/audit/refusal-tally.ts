/** Counts what is refused, so that a flood of refusals is a few lines of the audit log: one a minute for each kind. */
import type { Clock } from '#base/clock'
import type { AuditEvent } from './audit-chain.ts'
import type { AuditLog } from './audit-log.ts'

interface Tally {
  readonly event: AuditEvent
  count: number
}

const WINDOW_MS = 60_000
const MAX_KINDS = 1000

export class RefusalTally {
  private readonly log: Pick<AuditLog, 'record'>
  private readonly clock: Clock
  /** By the event as text. At most MAX_KINDS, and one for all others. */
  private tallies = new Map<string, Tally>()
  private readonly closing = new AbortController()
  private readonly writing: Promise<void>

  constructor(log: Pick<AuditLog, 'record'>, clock: Clock) {
    this.log = log
    this.clock = clock
    this.writing = this.writeEachWindow()
  }

  note(event: AuditEvent): void {
    const isRoom = this.tallies.size < MAX_KINDS
    const key = JSON.stringify(event)
    const known = this.tallies.get(key)
    if (known !== undefined) known.count++
    else if (isRoom) this.tallies.set(key, { event, count: 1 })
    else this.noteOther(event.event)
  }

  /** Records what is left. */
  async close(): Promise<void> {
    this.closing.abort()
    await this.writing
  }

  private noteOther(event: string): void {
    const other = this.tallies.get(event) ?? { event: { event, actor: 'others', details: {} }, count: 0 }
    other.count++
    this.tallies.set(event, other)
  }

  private async writeEachWindow(): Promise<void> {
    while (!this.closing.signal.aborted) {
      await this.clock.sleep(WINDOW_MS, this.closing.signal).catch(() => {})
      for (const { event, count } of this.tallies.values()) this.log.record({ ...event, details: { ...event.details, count } })
      this.tallies = new Map()
    }
  }
}
