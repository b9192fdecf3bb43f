/** Servers that use one store: which of them live, what each one reports, and which one decides for all. */
import { sql, type Kysely } from 'kysely'
import type { Schema } from './schema.ts'
import { takeLock } from './take-lock.ts'

/** A server that lives: its beat changes while it does. */
export interface PeerRow {
  /** Of one life of one process, and never given again: who was dropped comes back as another one. */
  readonly id: string
  readonly beat: number
  /** JSON: what it tells the others. */
  readonly report: string
}

/** One at most: the last one who led. He leads as long as he lives. */
export interface LeaderRow {
  readonly name: 'deployments'
  readonly peer: string
}

const NAME = 'deployments'

export async function createPeerTables(db: Kysely<Schema>): Promise<void> {
  await db.schema
    .createTable('peer')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('beat', sql`bigint`, (column) => column.notNull())
    .addColumn('report', 'text', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('leader')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('peer', 'text', (column) => column.notNull())
    .execute()
}

/** Methods throw store_failed. */
export class PeerTable {
  private readonly db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.db = db
  }

  async join(id: string, report: string): Promise<void> {
    await this.db.insertInto('peer').values({ id, beat: 0, report }).execute()
  }

  /** False: it was declared dead. */
  async beat(id: string, report: string): Promise<boolean> {
    const made = await this.db
      .updateTable('peer')
      .set({ beat: sql`beat + 1`, report })
      .where('id', '=', id)
      .executeTakeFirst()
    return Number(made.numUpdatedRows) > 0
  }

  list(): Promise<readonly PeerRow[]> {
    return this.db.selectFrom('peer').selectAll().orderBy('id').execute()
  }

  /** Unless it has given a sign of life since; null = however that is. */
  async drop(id: string, beatSeen: number | null): Promise<boolean> {
    let query = this.db.deleteFrom('peer').where('id', '=', id)
    if (beatSeen !== null) query = query.where('beat', '=', beatSeen)
    return Number((await query.executeTakeFirst()).numDeletedRows) > 0
  }

  /** Whether it leads: it did, or nobody who lives does. */
  lead(id: string): Promise<boolean> {
    return this.db.transaction().execute(async (step) => {
      await takeLock(step, 'leader')
      if (!(await isAlive(step, id))) return false
      const leader = await step.selectFrom('leader').select('peer').where('name', '=', NAME).executeTakeFirst()
      if (leader?.peer === id) return true
      if (leader === undefined) {
        await step.insertInto('leader').values({ name: NAME, peer: id }).execute()
        return true
      }
      const living = await step.selectFrom('peer').select('id').where('id', '=', leader.peer).executeTakeFirst()
      if (living !== undefined) return false
      await step.updateTable('leader').set({ peer: id }).where('name', '=', NAME).execute()
      return true
    })
  }
}

/**
 * Whether `id` leads, until the transaction ends: its row is written, so that nobody drops it meanwhile, and nobody leads in the place of one
 * who lives. Who was dropped while it was stopped gets false, and writes nothing.
 */
export async function leadsFor(step: Kysely<Schema>, id: string): Promise<boolean> {
  if (!(await isAlive(step, id))) return false
  const leader = await step.selectFrom('leader').select('peer').where('name', '=', NAME).executeTakeFirst()
  return leader?.peer === id
}

/** A sign of life. */
async function isAlive(step: Kysely<Schema>, id: string): Promise<boolean> {
  const made = await step
    .updateTable('peer')
    .set({ beat: sql`beat + 1` })
    .where('id', '=', id)
    .executeTakeFirst()
  return Number(made.numUpdatedRows) > 0
}
