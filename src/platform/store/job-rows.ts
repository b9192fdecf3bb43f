/** The tables of jobs: the jobs, their labels, how many wait in each line, who holds them, and the outcomes of their records. */
import { sql, type Kysely } from 'kysely'
import type { JobKind } from '#contract/job'
import type { Schema } from './schema.ts'

/**
 *   waiting -> running -> ended       waiting: in line to be run; running: held to be run
 *      |  ^____/ |  \
 *      v         |   v
 *    doomed <----+ closing -> ended   doomed: in line to be closed, its verdict is known; closing: held to be closed
 */
export type JobPhase = 'waiting' | 'running' | 'doomed' | 'closing' | 'ended'

export type JobVerdict = 'succeeded' | 'failed' | 'cancelled' | 'expired'

export interface JobRow {
  readonly id: string
  readonly kind: JobKind
  readonly lane: string
  readonly team: string
  readonly phase: JobPhase
  /** How it ends: known from doomed on. */
  readonly verdict: JobVerdict | null
  /** JSON, as are spec and labels. */
  readonly principal: string
  readonly spec: string
  readonly labels: string
  readonly num_records: number | null
  readonly num_succeeded: number
  readonly num_failed: number
  readonly created_ms: number
  readonly started_ms: number | null
  readonly ended_ms: number | null
  readonly expires_ms: number
  readonly start_by_ms: number | null
  readonly cancel_ms: number | null
  /** Of waiting and doomed: not before. Its order is the order of the line. */
  readonly ready_ms: number
  /** Of waiting: from then on it is overdue; null in every other phase. */
  readonly due_ms: number | null
  readonly attempt: number
  /** Attempts in a row that went wrong since an outcome was kept that was new; attempts that were given back do not count. */
  readonly num_faults: number
  /** Of running and closing; null in every other phase. */
  readonly holder: string | null
  /** JSON of an ErrorRecord. */
  readonly error: string | null
  /** JSON. */
  readonly result: string | null
  readonly idempotency_key: string | null
  readonly idempotency_digest: string | null
}

/** What the row must still be, and what it becomes. */
export interface JobChange {
  readonly id: string
  readonly line: Pick<JobRow, 'kind' | 'lane' | 'team'>
  readonly from: { readonly phase: JobPhase; readonly attempt: number }
  readonly to: JobPhase
  /** Columns that change, besides the phase. */
  readonly patch: Partial<Omit<JobRow, 'id' | 'kind' | 'lane' | 'team' | 'phase'>>
}

export interface JobLabelRow {
  readonly job_id: string
  readonly team: string
  readonly kind: JobKind
  readonly name: string
  readonly value: string
  readonly created_ms: number
}

/** Jobs of one team that wait in one lane. A line without a row has none. */
export interface JobLineRow {
  readonly kind: JobKind
  readonly lane: string
  readonly team: string
  readonly num_waiting: number
  /** When one of it was claimed last. */
  readonly served_ms: number
}

/** A runner that lives: its beat changes while it does. */
export interface JobHolderRow {
  readonly id: string
  readonly beat: number
}

export interface JobRecordRow {
  readonly job_id: string
  readonly record_index: number
  readonly is_ok: number
  readonly line: string
}

export async function createJobTables(db: Kysely<Schema>): Promise<void> {
  const bigint = sql`bigint`
  await db.schema
    .createTable('job')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('lane', 'text', (column) => column.notNull())
    .addColumn('team', 'text', (column) => column.notNull())
    .addColumn('phase', 'text', (column) => column.notNull())
    .addColumn('verdict', 'text')
    .addColumn('principal', 'text', (column) => column.notNull())
    .addColumn('spec', 'text', (column) => column.notNull())
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('num_records', bigint)
    .addColumn('num_succeeded', bigint, (column) => column.notNull())
    .addColumn('num_failed', bigint, (column) => column.notNull())
    .addColumn('created_ms', bigint, (column) => column.notNull())
    .addColumn('started_ms', bigint)
    .addColumn('ended_ms', bigint)
    .addColumn('expires_ms', bigint, (column) => column.notNull())
    .addColumn('start_by_ms', bigint)
    .addColumn('cancel_ms', bigint)
    .addColumn('ready_ms', bigint, (column) => column.notNull())
    .addColumn('due_ms', bigint)
    .addColumn('attempt', 'integer', (column) => column.notNull())
    .addColumn('num_faults', 'integer', (column) => column.notNull())
    .addColumn('holder', 'text')
    .addColumn('error', 'text')
    .addColumn('result', 'text')
    .addColumn('idempotency_key', 'text')
    .addColumn('idempotency_digest', 'text')
    .execute()
  await db.schema.createIndex('job_line_order').on('job').columns(['phase', 'kind', 'lane', 'team', 'ready_ms', 'id']).execute()
  await db.schema.createIndex('job_team').on('job').columns(['team', 'kind', 'created_ms', 'id']).execute()
  await db.schema.createIndex('job_due').on('job').column('due_ms').execute()
  await db.schema.createIndex('job_holder_of').on('job').column('holder').execute()
  await db.schema.createIndex('job_ended').on('job').column('ended_ms').execute()
  await db.schema.createIndex('job_idempotency').on('job').columns(['team', 'idempotency_key']).unique().execute()
  await createSideTables(db)
}

async function createSideTables(db: Kysely<Schema>): Promise<void> {
  const bigint = sql`bigint`
  await db.schema
    .createTable('job_label')
    .addColumn('job_id', 'text', (column) => column.notNull())
    .addColumn('team', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('value', 'text', (column) => column.notNull())
    .addColumn('created_ms', bigint, (column) => column.notNull())
    .addPrimaryKeyConstraint('job_label_key', ['job_id', 'name'])
    .execute()
  await db.schema.createIndex('job_label_value').on('job_label').columns(['team', 'kind', 'name', 'value', 'created_ms', 'job_id']).execute()
  await db.schema
    .createTable('job_line')
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('lane', 'text', (column) => column.notNull())
    .addColumn('team', 'text', (column) => column.notNull())
    .addColumn('num_waiting', bigint, (column) => column.notNull())
    .addColumn('served_ms', bigint, (column) => column.notNull())
    .addPrimaryKeyConstraint('job_line_key', ['kind', 'lane', 'team'])
    .execute()
  await db.schema
    .createTable('job_holder')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('beat', bigint, (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('job_record')
    .addColumn('job_id', 'text', (column) => column.notNull())
    .addColumn('record_index', bigint, (column) => column.notNull())
    .addColumn('is_ok', 'integer', (column) => column.notNull())
    .addColumn('line', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('job_record_key', ['job_id', 'record_index'])
    .execute()
}
