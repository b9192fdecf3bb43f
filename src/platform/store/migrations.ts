/** The steps from an empty store to today's, in order. A step that has been released is never changed: a new one is appended. */
import { sql, type Kysely } from 'kysely'
import { InferdError } from '#contract/errors'
import { createAuditTable } from './audit-table.ts'
import { createFileTable } from './file-rows.ts'
import { createJobTables } from './job-rows.ts'
import { createKeyTables } from './keys-table.ts'
import { createNotificationTable } from './notification-rows.ts'
import { createPeerTables } from './peer-rows.ts'
import { createResourceTable } from './resource-rows.ts'
import { createResponseTable } from './response-rows.ts'
import { createGuardrailRequestTable } from './guardrail-requests.ts'
import { createGuardrailTable } from './guardrails-table.ts'
import type { Schema } from './schema.ts'
import { takeLock } from './take-lock.ts'
import { createUsageGroupTable } from './usage-groups.ts'
import { addBilledTime, createUsageTables } from './usage-table.ts'

export interface Migration {
  /** Says what it makes: `keys`. Checked against what the store remembers. */
  readonly name: string
  readonly apply: (db: Kysely<Schema>) => Promise<void>
}

export const MIGRATIONS: readonly Migration[] = [
  { name: 'usage', apply: createUsageTables },
  { name: 'responses', apply: createResponseTable },
  { name: 'files', apply: createFileTable },
  { name: 'keys', apply: createKeyTables },
  { name: 'audit', apply: createAuditTable },
  { name: 'guardrails', apply: createGuardrailTable },
  { name: 'guardrail-requests', apply: createGuardrailRequestTable },
  { name: 'jobs', apply: createJobTables },
  { name: 'notifications', apply: createNotificationTable },
  { name: 'usage-groups', apply: createUsageGroupTable },
  { name: 'resources', apply: createResourceTable },
  { name: 'billed-time', apply: addBilledTime },
  { name: 'peers', apply: createPeerTables },
]

/** Applies what is missing, each step in a transaction of its own. Throws store_failed for a store of a newer or another program. */
export async function migrate(db: Kysely<Schema>, nowMs: number, migrations: readonly Migration[] = MIGRATIONS): Promise<void> {
  await db.transaction().execute(async (step) => {
    await takeLock(step, 'migration')
    await step.schema
      .createTable('migration')
      .ifNotExists()
      .addColumn('number', 'integer', (column) => column.primaryKey())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('applied_ms', sql`bigint`, (column) => column.notNull())
      .execute()
  })
  const applied = await db.selectFrom('migration').select(['number', 'name']).orderBy('number').execute()
  if (applied.length > migrations.length) throw new InferdError('store_failed', `the store was made by a newer inferd (step ${applied.length})`)
  const other = applied.find(({ number, name }) => migrations[number - 1]?.name !== name)
  if (other !== undefined) throw new InferdError('store_failed', `the store was not made by this inferd (step ${other.number} is ${other.name})`)
  for (const [index, { name, apply }] of migrations.entries()) {
    if (index < applied.length) continue
    await db.transaction().execute(async (step) => {
      // Another process may have been faster.
      const row = { number: index + 1, name, applied_ms: nowMs }
      const taken = await step
        .insertInto('migration')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .returning('number')
        .execute()
      if (taken.length > 0) await apply(step)
    })
  }
}
