/**
 * This server among those that use the same store: it beats, says how it is, hears how the others are, and knows whether it decides for all.
 * That it believes so is a hint, to keep it from trying; what it decides is written under `mayDecide`, and the store knows better.
 */
import type { Clock } from '#base/clock'
import { HolderWatch } from '#platform/jobs/holder-watch'
import { leadsFor, type PeerTable } from '#platform/store/peer-rows'
import type { Fence } from '#platform/store/resource-rows'
import type { Log } from '#telemetry/log'

export interface PeerGroupParts {
  readonly table: Pick<PeerTable, 'join' | 'beat' | 'list' | 'drop' | 'lead'>
  /** Of this process, and new each time: who was declared dead comes back as another one. */
  readonly newId: () => string
  /** Whether a server has ended for certain; false = not known. */
  readonly isGone: (id: string) => boolean
  /** It decides for all from now on, or not any more. */
  readonly onLead: (isLeading: boolean) => void
  readonly clock: Clock
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
}

const BEAT_MS = 1000
/** A server whose beat stands still for so long is dead. */
const PEER_LEASE_MS = 6000

/** `Report`: JSON that each server tells the others. */
export class PeerGroup<Report> {
  private readonly parts: PeerGroupParts
  private watch: HolderWatch
  /** null = not known in the store, or not any more. */
  private id: string | null = null
  private leads = false
  /** Monotonic, when the last round that succeeded began. */
  private beatAtMs = Number.NEGATIVE_INFINITY
  private ledSince = 0
  private known: readonly Report[] = []
  private isFailing = false
  private readonly closing = new AbortController()
  private running: Promise<void> = Promise.resolve()

  constructor(parts: PeerGroupParts) {
    this.parts = parts
    this.watch = this.newWatch()
  }

  get isLeading(): boolean {
    return this.leads && this.parts.clock.nowMs() - this.beatAtMs < PEER_LEASE_MS
  }

  /** Epoch milliseconds. */
  get ledSinceMs(): number {
    return this.ledSince
  }

  /** Of the others that live, as they were when this server beat last. */
  get reports(): readonly Report[] {
    return this.known
  }

  readonly mayDecide: Fence = async (step) => this.id !== null && leadsFor(step, this.id)

  /** Once. Resolves after the first round, which may have failed. */
  async start(report: () => Promise<Report>): Promise<void> {
    await this.round(report)
    this.running = this.run(report)
  }

  /** Another one may lead at once. */
  async close(): Promise<void> {
    this.closing.abort()
    await this.running
    const { table, log } = this.parts
    this.setLeads(false)
    if (this.id !== null) await table.drop(this.id, null).catch((err: unknown) => log.warn({ err }, 'this server could not say that it leaves'))
  }

  private async run(report: () => Promise<Report>): Promise<void> {
    const { signal } = this.closing
    while (!signal.aborted) {
      await this.parts.clock.sleep(BEAT_MS, signal).catch(() => {})
      if (!signal.aborted) await this.round(report)
    }
  }

  private async round(report: () => Promise<Report>): Promise<void> {
    try {
      await this.beat(report)
      this.isFailing = false
    } catch (err) {
      if (!this.isFailing) this.parts.log.error({ err }, 'this server does not hear of the others on its store; the next try follows')
      this.isFailing = true
    }
  }

  private async beat(report: () => Promise<Report>): Promise<void> {
    const { table, clock, newId } = this.parts
    const startMs = clock.nowMs()
    const words = JSON.stringify(await report())
    if (this.id !== null && !(await table.beat(this.id, words))) this.lose()
    if (this.id === null) {
      const id = newId()
      await table.join(id, words)
      this.id = id
    }
    // Who has not looked for a while, stopped or without its store, has not seen anybody stand still.
    if (startMs - this.beatAtMs >= PEER_LEASE_MS / 2) this.watch = this.newWatch()
    await this.hear(this.id)
    const leads = await table.lead(this.id)
    this.beatAtMs = startMs
    this.setLeads(leads)
  }

  private async hear(id: string): Promise<void> {
    const { table } = this.parts
    const others = (await table.list()).filter((row) => row.id !== id)
    const gone = new Set<string>()
    for (const { id: other, beat } of this.watch.look(others)) if (await table.drop(other, beat)) gone.add(other)
    this.known = others.filter((row) => !gone.has(row.id)).map(({ report }) => JSON.parse(report) as Report)
  }

  private lose(): void {
    this.parts.log.warn({}, 'this server was declared dead by another one on its store: it joins again')
    this.id = null
    this.setLeads(false)
  }

  private setLeads(leads: boolean): void {
    const { clock, log, onLead } = this.parts
    if (leads === this.leads) return
    this.leads = leads
    if (leads) {
      this.ledSince = clock.wallMs()
      log.info({}, 'this server decides about the endpoints of its store')
    }
    onLead(leads)
  }

  private newWatch(): HolderWatch {
    const { clock, isGone } = this.parts
    return new HolderWatch({ leaseMs: PEER_LEASE_MS, clock, isGone })
  }
}
