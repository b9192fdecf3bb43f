/** The table of notifications that are still to be delivered: who must be told of which job, and when it is tried next. */
import { sql, type Kysely } from 'kysely'
import type { Schema } from './schema.ts'

export interface NotificationRow {
  readonly job_id: string
  readonly topic: string
  readonly team: string
  readonly created_ms: number
  /** Whoever moves it on from the value that it read has the delivery until the new one. */
  readonly due_ms: number
  /** Deliveries that failed. */
  readonly num_failures: number
}

type NotificationKey = Pick<NotificationRow, 'job_id' | 'topic'>

export async function createNotificationTable(db: Kysely<Schema>): Promise<void> {
  await db.schema
    .createTable('notification')
    .addColumn('job_id', 'text', (column) => column.notNull())
    .addColumn('topic', 'text', (column) => column.notNull())
    .addColumn('team', 'text', (column) => column.notNull())
    .addColumn('created_ms', sql`bigint`, (column) => column.notNull())
    .addColumn('due_ms', sql`bigint`, (column) => column.notNull())
    .addColumn('num_failures', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('notification_key', ['job_id', 'topic'])
    .execute()
  await db.schema.createIndex('notification_due').on('notification').column('due_ms').execute()
}

/** Those that are there already stay as they are. */
export async function insertNotifications(db: Kysely<Schema>, rows: readonly NotificationRow[]): Promise<void> {
  if (rows.length === 0) return
  await db
    .insertInto('notification')
    .values([...rows])
    .onConflict((conflict) => conflict.columns(['job_id', 'topic']).doNothing())
    .execute()
}

/** The earliest first, due or not. */
export async function selectNextNotifications(db: Kysely<Schema>, limit: number): Promise<readonly NotificationRow[]> {
  return db.selectFrom('notification').selectAll().orderBy('due_ms').orderBy('job_id').orderBy('topic').limit(limit).execute()
}

/** False = somebody else has moved it. */
export async function moveNotification(
  db: Kysely<Schema>,
  { job_id, topic, due_ms }: NotificationKey & Pick<NotificationRow, 'due_ms'>,
  changes: Pick<NotificationRow, 'due_ms' | 'num_failures'>,
): Promise<boolean> {
  const moved = await db
    .updateTable('notification')
    .set(changes)
    .where('job_id', '=', job_id)
    .where('topic', '=', topic)
    .where('due_ms', '=', due_ms)
    .returning('job_id')
    .execute()
  return moved.length > 0
}

export async function deleteNotification(db: Kysely<Schema>, { job_id, topic }: NotificationKey): Promise<void> {
  await db.deleteFrom('notification').where('job_id', '=', job_id).where('topic', '=', topic).execute()
}
