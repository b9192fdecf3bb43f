/** Sells model units: so many as the operator has, each under a name that only its team may call. What is sold is a row of the store. */
import type { Clock } from '#base/clock'
import { randomId } from '#base/random'
import type { ProvisionedModels } from '#config/platform-file/provisioned'
import { InferdError } from '#contract/errors'
import type { ProvisionedDesk, ProvisionedOrder, ProvisionedQuery, ProvisionedThroughput } from '#contract/provisioned'
import type { ResourceTable } from '#platform/store/resource-rows'
import { documentOf, isSameOrder, type ThroughputDocument, type ThroughputRow, throughputOf } from './throughput-document.ts'
import { ThroughputRows } from './throughput-rows.ts'

export interface ThroughputDeskParts {
  readonly table: ResourceTable
  /** Of which units are sold, by the model's own name. */
  readonly models: ProvisionedModels
  /** The one model of this machine behind a name; null = none, or several. */
  readonly modelOf: (name: string) => string | null
  readonly isFreeName: (name: string) => boolean
  readonly keeper: ThroughputKeeper
  readonly clock: Clock
}

/** What is done with what was sold: by the server that sells it, at once. */
export interface ThroughputKeeper {
  /** Takes up what is new, forgets what is gone. */
  sync(): Promise<void>
  /** The last hours are paid for and the row is gone. False: somebody has changed it meanwhile. */
  end(row: ThroughputRow): Promise<boolean>
}

const LOCK = 'provisioned'
const MAX_SOLD = 1000
const MAX_TAGS = 50
const ID_LENGTH = 12

export class StoredThroughput implements ProvisionedDesk {
  private readonly parts: ThroughputDeskParts

  constructor(parts: ThroughputDeskParts) {
    this.parts = parts
  }

  get models(): readonly string[] {
    return Object.keys(this.parts.models)
  }

  async create(order: ProvisionedOrder): Promise<ProvisionedThroughput> {
    const model = this.sellableModel(order.model)
    const row = await this.change(async (rows) => {
      const all = await rows.all()
      const before = order.token === null ? undefined : all.find(({ document: { team, token } }) => team === order.team && token === order.token)
      if (before !== undefined) {
        if (isSameOrder(before.document, order, model)) return before
        throw new InferdError('conflict', 'the request token came with another request before', { param: 'clientRequestToken' })
      }
      this.requireFreeName(all, order.name)
      this.requireUnits(all, model, order.units)
      const nowMs = this.parts.clock.wallMs()
      return rows.insert(newThroughputId(), documentOf(order, model, nowMs), nowMs)
    })
    return throughputOf(row)
  }

  async get(query: ProvisionedQuery): Promise<ProvisionedThroughput> {
    return throughputOf(ownOf(await this.rows().all(), query))
  }

  async list(team: string): Promise<readonly ProvisionedThroughput[]> {
    const all = await this.rows().all()
    return all.filter(({ document }) => document.team === team).map(throughputOf)
  }

  rename(query: ProvisionedQuery, name: string): Promise<ProvisionedThroughput> {
    return this.edit(query, (document, others) => {
      if (document.name === name) return document
      this.requireFreeName(others, name)
      return { ...document, name }
    })
  }

  tag(query: ProvisionedQuery, { add, remove }: Parameters<ProvisionedDesk['tag']>[1]): Promise<ProvisionedThroughput> {
    return this.edit(query, (document) => {
      const kept = Object.entries(document.tags).filter(([key]) => !remove.includes(key))
      const tags = { ...Object.fromEntries(kept), ...add }
      if (Object.keys(tags).length > MAX_TAGS) throw new InferdError('invalid_parameter', `at most ${MAX_TAGS} tags are kept`, { param: 'tags' })
      return { ...document, tags }
    })
  }

  async remove(query: ProvisionedQuery): Promise<void> {
    for (;;) {
      const row = ownOf(await this.rows().all(), query)
      const { commitmentEndsMs } = row.document
      if (commitmentEndsMs !== null && commitmentEndsMs > this.parts.clock.wallMs()) {
        const until = new Date(commitmentEndsMs).toISOString()
        throw new InferdError('conflict', `the provisioned throughput '${row.document.name}' is committed to until ${until}`)
      }
      if (await this.parts.keeper.end(row)) break
    }
    await this.parts.keeper.sync()
  }

  private async edit(
    query: ProvisionedQuery,
    make: (document: ThroughputDocument, others: readonly ThroughputRow[]) => ThroughputDocument,
  ): Promise<ProvisionedThroughput> {
    const row = await this.change(async (rows) => {
      const all = await rows.all()
      const own = ownOf(all, query)
      const changed = await rows.change(own, make(own.document, all), this.parts.clock.wallMs())
      if (changed === null) throw new InferdError('conflict', 'the provisioned throughput is being changed; try again')
      return changed
    })
    return throughputOf(row)
  }

  /** Those who buy and change stand in one line: what is left is sold once. */
  private async change<T>(make: (rows: ThroughputRows) => Promise<T>): Promise<T> {
    const made = await this.parts.table.alone(LOCK, (table) => make(new ThroughputRows(table)))
    await this.parts.keeper.sync()
    return made
  }

  private rows(): ThroughputRows {
    return new ThroughputRows(this.parts.table)
  }

  private sellableModel(name: string): string {
    const model = this.parts.modelOf(name)
    if (model !== null && Object.hasOwn(this.parts.models, model)) return model
    const words =
      model === null
        ? `'${name}' is not one model of this machine`
        : `no units of the model '${model}' are sold (\`provisioned\` in the platform file)`
    throw new InferdError('invalid_parameter', words, { param: 'modelId' })
  }

  private requireFreeName(all: readonly ThroughputRow[], name: string): void {
    const isTaken = all.some(({ id, document }) => document.name === name || id === name) || !this.parts.isFreeName(name)
    if (isTaken) throw new InferdError('conflict', `the name '${name}' is taken`, { param: 'provisionedModelName' })
  }

  private requireUnits(all: readonly ThroughputRow[], model: string, units: number): void {
    const { maxUnits } = this.parts.models[model]!
    const sold = all.reduce((sum, { document }) => sum + (document.model === model ? document.units : 0), 0)
    if (sold + units > maxUnits) {
      const words = `${units} units of the model '${model}' are wanted, ${Math.max(0, maxUnits - sold)} of ${maxUnits} are left`
      throw new InferdError('quota_exceeded', words, { param: 'modelUnits' })
    }
    if (all.length >= MAX_SOLD) throw new InferdError('quota_exceeded', `this server keeps at most ${MAX_SOLD} provisioned throughputs`)
  }
}

/** Throws resource_not_found: of another team is as good as not there. */
function ownOf(all: readonly ThroughputRow[], { team, who }: ProvisionedQuery): ThroughputRow {
  const own = all.find(({ id, document }) => document.team === team && (id === who || document.name === who))
  if (own === undefined) throw new InferdError('resource_not_found', `there is no provisioned throughput '${who}'`)
  return own
}

/** Small letters and digits, as those of Bedrock. */
function newThroughputId(): string {
  const letters = randomId('pt_')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '')
  return letters.slice(2).padEnd(ID_LENGTH, '0').slice(0, ID_LENGTH)
}
