/** Where the audit log's chain ends. The row is also the lock under which processes append to the file one after the other. */
import { sql, type Kysely } from 'kysely'
import type { Schema } from './schema.ts'

export interface AuditHeadRow {
  /** Always 1: there is one row. */
  readonly id: number
  readonly sequence: number
  /** Hex; of the last line. */
  readonly hash: string
}

export type AuditHead = Pick<AuditHeadRow, 'sequence' | 'hash'>

export async function createAuditTable(db: Kysely<Schema>): Promise<void> {
  await db.schema
    .createTable('audit_head')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('sequence', sql`bigint`, (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull())
    .execute()
  await db
    .insertInto('audit_head')
    .values({ id: 1, sequence: 0, hash: '0'.repeat(64) })
    .execute()
}

export async function selectAuditHead(db: Kysely<Schema>): Promise<AuditHead> {
  return db.selectFrom('audit_head').select(['sequence', 'hash']).where('id', '=', 1).executeTakeFirstOrThrow()
}

/** `append` runs while no other process may append, and says where the chain ends then. */
export async function moveAuditHead(db: Kysely<Schema>, append: (head: AuditHead) => AuditHead): Promise<void> {
  await db.transaction().execute(async (step) => {
    // A write that changes nothing: it takes the row's lock before it is read.
    const head = await step
      .updateTable('audit_head')
      .set((e) => ({ sequence: e.ref('sequence') }))
      .where('id', '=', 1)
      .returning(['sequence', 'hash'])
      .executeTakeFirstOrThrow()
    const { sequence, hash } = append({ sequence: Number(head.sequence), hash: head.hash })
    await step.updateTable('audit_head').set({ sequence, hash }).where('id', '=', 1).execute()
  })
}
