/** Hours of provisioned throughput: the record of the ledger and the row that says so, together or not at all. */
import type { Kysely } from 'kysely'
import type { UsageRecord } from '#contract/usage-record'
import { ResourceTable } from './resource-rows.ts'
import type { Schema } from './schema.ts'
import { insertRecords } from './usage-table.ts'

export interface ThroughputKey {
  readonly id: string
  /** As it was seen. */
  readonly revision: number
}

/** False: the row has another revision, or is gone, and nothing is written. `record` null = time that is nobody's. */
export function recordHours(
  db: Kysely<Schema>,
  { id, revision, document, modifiedMs }: ThroughputKey & { readonly document: string; readonly modifiedMs: number },
  record: UsageRecord | null,
): Promise<boolean> {
  return db.transaction().execute(async (step) => {
    // Billing is no change that anybody made: the time of the last one stays.
    const changed = await new ResourceTable(step).change({ kind: 'provisioned-throughput', name: id, revision }, document, modifiedMs)
    if (changed === null) return false
    if (record !== null) await insertRecords(step, [record])
    return true
  })
}

/** As recordHours; the row is gone with its last record. */
export function endThroughput(db: Kysely<Schema>, { id, revision }: ThroughputKey, record: UsageRecord | null): Promise<boolean> {
  return db.transaction().execute(async (step) => {
    const gone = await step
      .deleteFrom('resource')
      .where('kind', '=', 'provisioned-throughput')
      .where('name', '=', id)
      .where('revision', '=', revision)
      .returning('name')
      .execute()
    if (gone.length === 0) return false
    if (record !== null) await insertRecords(step, [record])
    return true
  })
}
