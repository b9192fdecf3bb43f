/** Which groups of usage records are written: a group whose commit was not answered, because the connection broke, is sent again. */
import { sql, type Kysely } from 'kysely'
import type { Schema } from './schema.ts'

export interface UsageGroupRow {
  readonly id: string
  /** When its newest record was made. */
  readonly made_ms: number
}

/** Longer than any group is tried again. */
const KEPT_MS = 24 * 3_600_000

export async function createUsageGroupTable(db: Kysely<Schema>): Promise<void> {
  await db.schema
    .createTable('usage_group')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('made_ms', sql`bigint`, (column) => column.notNull())
    .execute()
  await db.schema.createIndex('usage_group_by_age').on('usage_group').column('made_ms').execute()
}

/** In the transaction that writes the records. False: they are written. */
export async function claimGroup(step: Kysely<Schema>, row: UsageGroupRow): Promise<boolean> {
  const taken = await step
    .insertInto('usage_group')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .execute()
  if (taken.length === 0) return false
  await step
    .deleteFrom('usage_group')
    .where('made_ms', '<', row.made_ms - KEPT_MS)
    .execute()
  return true
}
