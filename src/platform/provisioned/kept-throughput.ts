/**
 * What was sold, in service: its account at the door, its names, its hours in the ledger. Every server of a store follows the rows by itself;
 * an hour is written by whoever comes first, in one transaction with the row that says so.
 */
import type { Clock } from '#base/clock'
import type { PriceEntry } from '#config/platform-file/prices'
import type { ProvisionedModels } from '#config/platform-file/provisioned'
import type { Picodollars } from '#contract/call'
import { InferdError } from '#contract/errors'
import type { UsageRecord } from '#contract/usage-record'
import { ROUTE_DEFAULTS } from '#platform/routing/route-table'
import type { RouteDefinition } from '#platform/routing/route-definition'
import type { Store } from '#platform/store/open-store'
import { ResourceTable } from '#platform/store/resource-rows'
import { endThroughput, recordHours } from '#platform/store/throughput-hours'
import type { Log } from '#telemetry/log'
import { dueHours, type ThroughputRow, throughputOf, type UnitHours } from './throughput-document.ts'
import type { ThroughputKeeper } from './throughput-desk.ts'
import { ThroughputRows } from './throughput-rows.ts'
import type { UnitBook, UnitRate } from './unit-book.ts'

export interface KeptThroughputParts {
  readonly store: Store
  readonly book: UnitBook
  readonly models: ProvisionedModels
  readonly priceOf: (model: string) => { readonly name: string; readonly unit: PriceEntry['modelUnit'] }
  readonly putRoute: (route: RouteDefinition) => void
  readonly removeRoute: (name: string) => void
  /** Told what a team was charged, once. */
  readonly onCharge: (charge: { readonly team: string; readonly keyId: string; readonly cost: Picodollars }) => void
  readonly clock: Clock
  readonly log: Pick<Log, 'warn' | 'error'>
}

/** Changes of other servers are seen after so long. */
const SYNC_MS = 5000
const CLOSED = new InferdError('cancelled', 'the server stops')
const NO_UNITS: UnitRate = { inputTokensPerMinute: 1, outputTokensPerMinute: 1 }

export class KeptThroughput implements ThroughputKeeper {
  private readonly parts: KeptThroughputParts
  /** By id: the name under which it is called. */
  private readonly names = new Map<string, string>()
  private readonly closing = new AbortController()
  private running: Promise<void> | null = null
  private following: Promise<unknown> = Promise.resolve()

  constructor(parts: KeptThroughputParts) {
    this.parts = parts
  }

  /** Resolves when what was sold before is in service. Rejects with store_failed. */
  async start(): Promise<void> {
    await this.sync()
    this.running = this.run()
  }

  async close(): Promise<void> {
    this.closing.abort(CLOSED)
    await this.running
  }

  async sync(): Promise<void> {
    await this.latest()
  }

  async end(row: ThroughputRow): Promise<boolean> {
    const { store, clock } = this.parts
    const nowMs = clock.wallMs()
    const due = dueHours(row.document, this.parts.priceOf(row.document.model).unit, { nowMs, isLast: true })
    const hasEnded = await endThroughput(store.db, rowKey(row), due === null ? null : this.recordOf(row, due))
    if (hasEnded && due !== null) this.tell(row, due)
    return hasEnded
  }

  /** What is done again and again while it runs: what others sold is taken up, and hours that are over are written. */
  async tick(): Promise<void> {
    await this.bill(await this.latest())
  }

  /** Follows the store: one at a time, each with what it has then. */
  private latest(): Promise<readonly ThroughputRow[]> {
    const next = this.following.catch(() => {}).then(() => this.follow())
    this.following = next
    next.catch(() => {})
    return next
  }

  private async run(): Promise<void> {
    const { clock, log } = this.parts
    let hasFailed = false
    while (!this.closing.signal.aborted) {
      await clock.sleep(SYNC_MS, this.closing.signal).catch(() => {})
      if (this.closing.signal.aborted) return
      try {
        await this.tick()
        hasFailed = false
      } catch (err) {
        if (!hasFailed) log.error({ err }, 'provisioned throughput could not be read or billed; it is tried again')
        hasFailed = true
      }
    }
  }

  private async follow(): Promise<readonly ThroughputRow[]> {
    const { store, book, models, removeRoute } = this.parts
    const rows = await new ThroughputRows(new ResourceTable(store.db)).all()
    const ids = new Set(rows.map(({ id }) => id))
    for (const [id, name] of this.names) {
      if (ids.has(id)) continue
      removeRoute(name)
      book.remove(id)
      this.names.delete(id)
    }
    for (const row of rows) {
      const sold = models[row.document.model]
      const rate: UnitRate = sold === undefined ? NO_UNITS : { ...sold, outputTokensPerMinute: sold.outputTokensPerMinute ?? null }
      this.serve(row, rate)
    }
    return rows
  }

  private serve(row: ThroughputRow, rate: UnitRate): void {
    const { book, putRoute, removeRoute, log } = this.parts
    const { id, document } = row
    const { name, team, model } = document
    const before = this.names.get(id)
    if (before !== name) {
      if (before !== undefined) removeRoute(before)
      try {
        putRoute({ ...ROUTE_DEFAULTS, name, aliases: [id], variants: [{ model, weight: 1 }], team })
      } catch (err) {
        // The configuration has changed under it: its model is gone, or something else has its name.
        log.warn({ err, throughput: id, name, model }, 'provisioned throughput cannot be called')
        return
      }
      this.names.set(id, name)
    }
    book.put(throughputOf(row), rate)
  }

  private async bill(rows: readonly ThroughputRow[]): Promise<void> {
    const { store, clock, priceOf } = this.parts
    const nowMs = clock.wallMs()
    for (const row of rows) {
      const due = dueHours(row.document, priceOf(row.document.model).unit, { nowMs, isLast: false })
      if (due === null) continue
      const document = JSON.stringify({ ...row.document, billedUntilMs: due.toMs })
      const isWritten = await recordHours(store.db, { ...rowKey(row), document, modifiedMs: row.modifiedMs }, this.recordOf(row, due))
      if (isWritten) this.tell(row, due)
    }
  }

  private tell({ document: { team, keyId } }: ThroughputRow, { cost }: UnitHours): void {
    this.parts.onCharge({ team, keyId, cost })
  }

  /** null = a stretch in which nothing was provided. */
  private recordOf({ id, document: { keyId, team, name, model, tags } }: ThroughputRow, { fromMs, toMs, cost }: UnitHours): UsageRecord | null {
    if (toMs === fromMs) return null
    return {
      requestId: `${id}-${Math.round(fromMs)}`,
      wallMs: toMs,
      keyId,
      team,
      dialect: 'bedrock',
      operation: 'provisioned_throughput',
      requestedModel: name,
      model,
      tier: 'reserved',
      streamed: false,
      inputTokens: 0,
      cachedTokens: 0,
      cacheWriteTokens: 0,
      outputTokens: 0,
      reasoningTokens: 0,
      responseCache: 'none',
      ttftMs: null,
      tpotMs: null,
      queueMs: null,
      durationMs: toMs - fromMs,
      billedMs: 0,
      price: this.parts.priceOf(model).name,
      cost,
      error: null,
      metadata: tags,
    }
  }
}

function rowKey({ id, revision }: ThroughputRow): { readonly id: string; readonly revision: number } {
  return { id, revision }
}
