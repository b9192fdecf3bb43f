/** The table of kept responses. A conversation is a chain of `previous_id`. */
import { sql, type Kysely } from 'kysely'
import type { Schema } from './schema.ts'

export interface ResponseRow {
  readonly id: string
  readonly team: string
  readonly model: string
  readonly previous_id: string | null
  readonly status: string
  readonly is_background: number
  readonly created_ms: number
  readonly expires_ms: number
  /** JSON; null = none. */
  readonly error: string | null
  /** JSON. */
  readonly body: string
  /** JSON. */
  readonly input_items: string
  /** JSON. */
  readonly messages: string
}

interface RowKey {
  readonly team: string
  readonly id: string
}

export type ChainLink = Pick<ResponseRow, 'id' | 'previous_id' | 'messages'>

const UNFINISHED = ['queued', 'in_progress']

export async function createResponseTable(db: Kysely<Schema>): Promise<void> {
  await db.schema
    .createTable('response')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('team', 'text', (column) => column.notNull())
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('previous_id', 'text')
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('is_background', 'integer', (column) => column.notNull())
    .addColumn('created_ms', sql`bigint`, (column) => column.notNull())
    .addColumn('expires_ms', sql`bigint`, (column) => column.notNull())
    .addColumn('error', 'text')
    .addColumn('body', 'text', (column) => column.notNull())
    .addColumn('input_items', 'text', (column) => column.notNull())
    .addColumn('messages', 'text', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('response_expires').on('response').column('expires_ms').execute()
  await db.schema.createIndex('response_status').on('response').column('status').execute()
}

/** The conversation before it lives as long as it does. */
export async function insertResponse(db: Kysely<Schema>, row: ResponseRow): Promise<void> {
  await db.transaction().execute(async (step) => {
    await step.insertInto('response').values(row).execute()
    if (row.previous_id === null) return
    await sql`
      with recursive chain(id, previous_id) as (
        select id, previous_id from response where id = ${row.previous_id} and team = ${row.team}
        union select response.id, response.previous_id from response join chain on response.id = chain.previous_id where response.team = ${row.team}
      ) update response set expires_ms = ${row.expires_ms} where id in (select id from chain) and expires_ms < ${row.expires_ms}`.execute(step)
  })
}

/** False = it is not unfinished any more. */
export async function updateUnfinishedResponse(
  db: Kysely<Schema>,
  { team, id }: RowKey,
  change: Partial<Pick<ResponseRow, 'status' | 'error' | 'body' | 'messages'>>,
): Promise<boolean> {
  const rows = await db
    .updateTable('response')
    .set(change)
    .where('id', '=', id)
    .where('team', '=', team)
    .where('status', 'in', UNFINISHED)
    .returning('id')
    .execute()
  return rows.length > 0
}

export async function failUnfinishedResponses(db: Kysely<Schema>, error: string): Promise<number> {
  const rows = await db.updateTable('response').set({ status: 'failed', error }).where('status', 'in', UNFINISHED).returning('id').execute()
  return rows.length
}

export async function selectResponse(db: Kysely<Schema>, { team, id }: RowKey): Promise<ResponseRow | null> {
  const row = await db.selectFrom('response').selectAll().where('id', '=', id).where('team', '=', team).executeTakeFirst()
  return row ?? null
}

/** From the newest back, at most `maxLinks`; a link whose `previous_id` is not the next one's id lacks it. */
export async function selectChain(db: Kysely<Schema>, { team, id }: RowKey, maxLinks: number): Promise<readonly ChainLink[]> {
  const { rows } = await sql<ChainLink>`
    with recursive chain(id, previous_id, messages, depth) as (
      select id, previous_id, messages, 0 from response where id = ${id} and team = ${team}
      union all select response.id, response.previous_id, response.messages, chain.depth + 1
        from response join chain on response.id = chain.previous_id where response.team = ${team} and chain.depth + 1 < ${maxLinks}
    ) select id, previous_id, messages from chain order by depth`.execute(db)
  return rows
}

export async function deleteResponse(db: Kysely<Schema>, { team, id }: RowKey): Promise<boolean> {
  const rows = await db.deleteFrom('response').where('id', '=', id).where('team', '=', team).returning('id').execute()
  return rows.length > 0
}

export async function deleteExpiredResponses(db: Kysely<Schema>, nowMs: number): Promise<number> {
  const rows = await db.deleteFrom('response').where('expires_ms', '<=', nowMs).where('status', 'not in', UNFINISHED).returning('id').execute()
  return rows.length
}
