/**
 * The ledger's rows, the reservations of money behind calls that are not settled yet, and every question asked of either. A sum of
 * money is exact: each row has it in two integers (millionths of a dollar, and the rest), because picodollars outgrow 64 bits.
 */
import { type Expression, type ExpressionBuilder, type Kysely, sql, type SqlBool } from 'kysely'
import type { Picodollars } from '#contract/call'
import type { UsageFilter, UsageRecord, UsageTotal } from '#contract/usage-record'
import type { Schema } from './schema.ts'
import { claimGroup } from './usage-groups.ts'

export interface UsageRow {
  /** May come from callers and repeat: no key of a row. */
  readonly request_id: string
  readonly wall_ms: number
  /** Days since 1970-01-01, UTC. */
  readonly day: number
  readonly key_id: string
  readonly team: string
  readonly dialect: string
  readonly operation: string
  readonly requested_model: string
  readonly model: string | null
  readonly tier: string
  readonly streamed: number
  readonly input_tokens: number
  readonly cached_tokens: number
  readonly cache_write_tokens: number
  readonly output_tokens: number
  readonly reasoning_tokens: number
  readonly response_cache: string
  readonly ttft_us: number | null
  readonly tpot_us: number | null
  readonly queue_us: number | null
  readonly duration_us: number
  readonly billed_us: number
  readonly price: string
  /** Millionths of a dollar, whole ones. */
  readonly cost_micros: number
  /** What is left, picodollars below one millionth of a dollar. */
  readonly cost_rest: number
  readonly error: string | null
  /** JSON object of texts. */
  readonly metadata: string
}

export interface ReservationRow {
  readonly id: string
  readonly key_id: string
  readonly team: string
  /** Picodollars. */
  readonly amount: string
  readonly expires_ms: number
}

export interface Reservation {
  readonly id: string
  readonly keyId: string
  readonly team: string
  readonly amount: Picodollars
  readonly expiresMs: number
}

/** One record and the reservation that it settles; null = none was made. */
export interface LedgerEntry {
  readonly record: UsageRecord
  readonly reservationId: string | null
}

export type BudgetSubject = { readonly keyId: string } | { readonly team: string }

export type UsageGroup = 'key' | 'team' | 'model' | 'day'

const MS_PER_DAY = 86_400_000
const PICOS_PER_MICRO = 1_000_000n
/** Far below the 32,766 values that one statement of SQLite takes, and the 65,535 of PostgreSQL. */
const ROWS_PER_INSERT = 500

export async function createUsageTables(db: Kysely<Schema>): Promise<void> {
  const bigint = sql`bigint`
  await db.schema
    .createTable('usage')
    .addColumn('request_id', 'text', (column) => column.notNull())
    .addColumn('wall_ms', bigint, (column) => column.notNull())
    .addColumn('day', 'integer', (column) => column.notNull())
    .addColumn('key_id', 'text', (column) => column.notNull())
    .addColumn('team', 'text', (column) => column.notNull())
    .addColumn('dialect', 'text', (column) => column.notNull())
    .addColumn('operation', 'text', (column) => column.notNull())
    .addColumn('requested_model', 'text', (column) => column.notNull())
    .addColumn('model', 'text')
    .addColumn('tier', 'text', (column) => column.notNull())
    .addColumn('streamed', 'integer', (column) => column.notNull())
    .addColumn('input_tokens', bigint, (column) => column.notNull())
    .addColumn('cached_tokens', bigint, (column) => column.notNull())
    .addColumn('cache_write_tokens', bigint, (column) => column.notNull())
    .addColumn('output_tokens', bigint, (column) => column.notNull())
    .addColumn('reasoning_tokens', bigint, (column) => column.notNull())
    .addColumn('response_cache', 'text', (column) => column.notNull())
    .addColumn('ttft_us', bigint)
    .addColumn('tpot_us', bigint)
    .addColumn('queue_us', bigint)
    .addColumn('duration_us', bigint, (column) => column.notNull())
    .addColumn('price', 'text', (column) => column.notNull())
    .addColumn('cost_micros', bigint, (column) => column.notNull())
    .addColumn('cost_rest', 'integer', (column) => column.notNull())
    .addColumn('error', 'text')
    .addColumn('metadata', 'text', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('usage_by_key').on('usage').columns(['key_id', 'wall_ms']).execute()
  await db.schema.createIndex('usage_by_team').on('usage').columns(['team', 'wall_ms']).execute()
  await db.schema.createIndex('usage_by_time').on('usage').column('wall_ms').execute()
  await db.schema
    .createTable('reservation')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('key_id', 'text', (column) => column.notNull())
    .addColumn('team', 'text', (column) => column.notNull())
    .addColumn('amount', 'text', (column) => column.notNull())
    .addColumn('expires_ms', bigint, (column) => column.notNull())
    .execute()
}

/** Came later than the table: what was written before has none. */
export async function addBilledTime(db: Kysely<Schema>): Promise<void> {
  await db.schema
    .alterTable('usage')
    .addColumn('billed_us', sql`bigint`, (column) => column.notNull().defaultTo(0))
    .execute()
}

/** All or none: a record and the end of its reservation are one. Of one `groupId` once, however often it comes; null = whenever it comes. */
export async function insertEntries(db: Kysely<Schema>, entries: readonly LedgerEntry[], groupId: string | null): Promise<void> {
  const madeMs = Math.max(...entries.map(({ record }) => Math.floor(record.wallMs)))
  const reservationIds = entries.flatMap(({ reservationId }) => (reservationId === null ? [] : [reservationId]))
  await db.transaction().execute(async (step) => {
    if (groupId !== null && !(await claimGroup(step, { id: groupId, made_ms: madeMs }))) return
    await insertRecords(
      step,
      entries.map(({ record }) => record),
    )
    for (let start = 0; start < reservationIds.length; start += ROWS_PER_INSERT) {
      await step
        .deleteFrom('reservation')
        .where('id', 'in', reservationIds.slice(start, start + ROWS_PER_INSERT))
        .execute()
    }
  })
}

/** In the transaction of its caller. */
export async function insertRecords(step: Kysely<Schema>, records: readonly UsageRecord[]): Promise<void> {
  for (let start = 0; start < records.length; start += ROWS_PER_INSERT) {
    await step
      .insertInto('usage')
      .values(records.slice(start, start + ROWS_PER_INSERT).map(toRow))
      .execute()
  }
}

export async function insertReservations(db: Kysely<Schema>, reservations: readonly Reservation[]): Promise<void> {
  for (let start = 0; start < reservations.length; start += ROWS_PER_INSERT) {
    const rows = reservations
      .slice(start, start + ROWS_PER_INSERT)
      .map(({ id, keyId, team, amount, expiresMs }) => ({ id, key_id: keyId, team, amount: amount.toString(), expires_ms: expiresMs }))
    await db.insertInto('reservation').values(rows).execute()
  }
}

/** What a server before this one had reserved and not settled. Those that have expired are forgotten. */
export async function takeOpenReservations(db: Kysely<Schema>, nowMs: number): Promise<readonly Reservation[]> {
  await db.deleteFrom('reservation').where('expires_ms', '<=', nowMs).execute()
  const rows = await db.selectFrom('reservation').selectAll().execute()
  return rows.map(({ id, key_id, team, amount, expires_ms }) => ({ id, keyId: key_id, team, amount: BigInt(amount), expiresMs: Number(expires_ms) }))
}

export async function forgetReservations(db: Kysely<Schema>, ids: readonly string[]): Promise<void> {
  for (let start = 0; start < ids.length; start += ROWS_PER_INSERT) {
    await db
      .deleteFrom('reservation')
      .where('id', 'in', ids.slice(start, start + ROWS_PER_INSERT))
      .execute()
  }
}

/** Settled since `fromMs`, inclusive. */
export async function sumOfCosts(db: Kysely<Schema>, subject: BudgetSubject, fromMs: number): Promise<Picodollars> {
  const costs = db.selectFrom('usage').select([sumOf('cost_micros').as('micros'), sumOf('cost_rest').as('rest')])
  const own = 'keyId' in subject ? costs.where('key_id', '=', subject.keyId) : costs.where('team', '=', subject.team)
  const { micros, rest } = await own.where('wall_ms', '>=', fromMs).executeTakeFirstOrThrow()
  return BigInt(micros) * PICOS_PER_MICRO + BigInt(rest)
}

/** In order of the groups. `limit`: most rows. */
export async function sumUsage(
  db: Kysely<Schema>,
  filter: UsageFilter,
  { groupBy, limit }: { readonly groupBy: readonly UsageGroup[]; readonly limit: number },
): Promise<readonly UsageTotal[]> {
  const columns = groupBy.map((group) => GROUP_COLUMNS[group])
  let query = db
    .selectFrom('usage')
    .select([
      // Hours of provisioned throughput are no requests.
      sql<number>`count(case when operation <> 'provisioned_throughput' then 1 end)`.as('num_requests'),
      sql<number>`count(error)`.as('num_errors'),
      sumOf('input_tokens').as('input_tokens'),
      sumOf('cached_tokens').as('cached_tokens'),
      sumOf('cache_write_tokens').as('cache_write_tokens'),
      sumOf('output_tokens').as('output_tokens'),
      sumOf('reasoning_tokens').as('reasoning_tokens'),
      sumOf('billed_us').as('billed_us'),
      sumOf('cost_micros').as('cost_micros'),
      sumOf('cost_rest').as('cost_rest'),
    ])
    .where(matching(filter))
    .limit(limit)
  for (const column of columns)
    query = query
      .select(sql<string | number | null>`${sql.ref(column)}`.as(`group_${column}`))
      .groupBy(column)
      .orderBy(column, (order) => order.asc().nullsFirst())
  const rows = await query.execute()
  return rows.map((row) => ({
    group: Object.fromEntries(groupBy.map((group) => [group, groupText(group, Reflect.get(row, `group_${GROUP_COLUMNS[group]}`))])),
    numRequests: Number(row.num_requests),
    numErrors: Number(row.num_errors),
    inputTokens: Number(row.input_tokens),
    cachedTokens: Number(row.cached_tokens),
    cacheWriteTokens: Number(row.cache_write_tokens),
    outputTokens: Number(row.output_tokens),
    reasoningTokens: Number(row.reasoning_tokens),
    billedMs: Number(row.billed_us) / 1000,
    cost: BigInt(row.cost_micros) * PICOS_PER_MICRO + BigInt(row.cost_rest),
  }))
}

/** As a condition on the ledger's rows. */
export function matching({ team, keyId, model, fromMs, toMs }: UsageFilter): (rows: ExpressionBuilder<Schema, 'usage'>) => Expression<SqlBool> {
  return (rows) =>
    rows.and([
      ...(team === null ? [] : [rows('team', '=', team)]),
      ...(keyId === null ? [] : [rows('key_id', '=', keyId)]),
      ...(model === null ? [] : [rows('model', '=', model)]),
      ...(fromMs === null ? [] : [rows('wall_ms', '>=', fromMs)]),
      ...(toMs === null ? [] : [rows('wall_ms', '<', toMs)]),
    ])
}

const GROUP_COLUMNS = { key: 'key_id', team: 'team', model: 'model', day: 'day' } as const

function groupText(group: UsageGroup, value: unknown): string {
  if (group === 'day') return new Date(Number(value) * MS_PER_DAY).toISOString().slice(0, 10)
  return typeof value === 'string' ? value : ''
}

function sumOf(column: keyof UsageRow): ReturnType<typeof sql<number | string>> {
  return sql<number | string>`coalesce(sum(${sql.ref(column)}), 0)`
}

function toRow(record: UsageRecord): UsageRow {
  return {
    request_id: record.requestId,
    wall_ms: Math.floor(record.wallMs),
    day: Math.floor(record.wallMs / MS_PER_DAY),
    key_id: record.keyId,
    team: record.team,
    dialect: record.dialect,
    operation: record.operation,
    requested_model: record.requestedModel,
    model: record.model,
    tier: record.tier,
    streamed: record.streamed ? 1 : 0,
    input_tokens: record.inputTokens,
    cached_tokens: record.cachedTokens,
    cache_write_tokens: record.cacheWriteTokens,
    output_tokens: record.outputTokens,
    reasoning_tokens: record.reasoningTokens,
    response_cache: record.responseCache,
    ttft_us: microseconds(record.ttftMs),
    tpot_us: microseconds(record.tpotMs),
    queue_us: microseconds(record.queueMs),
    duration_us: Math.round(record.durationMs * 1000),
    billed_us: Math.round(record.billedMs * 1000),
    price: record.price,
    cost_micros: Number(record.cost / PICOS_PER_MICRO),
    cost_rest: Number(record.cost % PICOS_PER_MICRO),
    error: record.error,
    metadata: JSON.stringify(record.metadata),
  }
}

function microseconds(durationMs: number | null): number | null {
  return durationMs === null ? null : Math.round(durationMs * 1000)
}
