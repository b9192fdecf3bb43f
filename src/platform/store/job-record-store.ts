/** Outcomes of the records of jobs, kept while a job runs so that another attempt repeats no finished one. */
import { sql, type Kysely } from 'kysely'
import type { JobRecordRow, JobRow } from './job-rows.ts'
import type { Schema } from './schema.ts'

export interface NewRecord {
  /** The fence of whoever writes it. */
  readonly holder: { readonly id: string; readonly attempt: number }
  readonly row: JobRecordRow
}

/** new: it is kept, and is the first of its index. known: there was one, which stays. lost: the writer does not hold its job any more. */
export type RecordVerdict = 'new' | 'known' | 'lost'

export interface RecordPage {
  readonly jobId: string
  /** -1 = from the first. */
  readonly afterIndex: number
  readonly limit: number
}

const ROWS_PER_INSERT = 1000
/** A range of indices, so that one statement of a large job stays short. */
const ROWS_PER_DELETE = 5000
/** Of the lines of one page, in characters: an output of a transform may be as large as a payload. */
const MAX_PAGE_LENGTH = 8 * 2 ** 20

/** Methods throw store_failed. */
export class JobRecordStore {
  private readonly db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.db = db
  }

  /** All in one transaction. A new outcome forgives its job the attempts that went wrong before: they were not in vain. */
  put(records: readonly NewRecord[]): Promise<readonly RecordVerdict[]> {
    return this.db.transaction().execute(async (step) => {
      /** By fence: attempts of the job that went wrong; null = it is not held by this one. */
      const numFaults = new Map<string, number | null>()
      for (const { holder } of records) {
        const key = fenceOf(holder)
        if (!numFaults.has(key)) numFaults.set(key, await lockHeld(step, holder))
      }
      const faultsOf = ({ holder }: NewRecord): number | null => numFaults.get(fenceOf(holder)) ?? null
      const held = records.filter((record) => faultsOf(record) !== null)
      const made = await insertRecords(
        step,
        held.map(({ row }) => row),
      )
      const isMade = ({ row }: NewRecord): boolean => made.has(placeOf(row))
      const forgiven = held.filter((record) => isMade(record) && faultsOf(record) !== 0).map(({ holder }) => holder.id)
      if (forgiven.length > 0)
        await step
          .updateTable('job')
          .set({ num_faults: 0 })
          .where('id', 'in', [...new Set(forgiven)])
          .execute()
      return records.map((record) => (faultsOf(record) === null ? 'lost' : isMade(record) ? 'new' : 'known'))
    })
  }

  /** Without their lines. By index. */
  finished({ jobId, afterIndex, limit }: RecordPage): Promise<readonly Pick<JobRecordRow, 'record_index' | 'is_ok'>[]> {
    return this.db
      .selectFrom('job_record')
      .select(['record_index', 'is_ok'])
      .where('job_id', '=', jobId)
      .where('record_index', '>', afterIndex)
      .orderBy('record_index')
      .limit(limit)
      .execute()
  }

  /** As many as fit into MAX_PAGE_LENGTH, but one at least. Empty = there are no more. */
  async read({ jobId, afterIndex, limit }: RecordPage): Promise<readonly JobRecordRow[]> {
    const lengths = await this.db
      .selectFrom('job_record')
      .select(({ fn }) => fn<number>('length', ['line']).as('length'))
      .where('job_id', '=', jobId)
      .where('record_index', '>', afterIndex)
      .orderBy('record_index')
      .limit(limit)
      .execute()
    if (lengths.length === 0) return []
    return this.db
      .selectFrom('job_record')
      .selectAll()
      .where('job_id', '=', jobId)
      .where('record_index', '>', afterIndex)
      .orderBy('record_index')
      .limit(numFitting(lengths.map(({ length }) => Number(length))))
      .execute()
  }

  /** Page by page: others write between. */
  async clear(jobId: string): Promise<void> {
    for (;;) {
      const first = await this.db
        .selectFrom('job_record')
        .select('record_index')
        .where('job_id', '=', jobId)
        .orderBy('record_index')
        .executeTakeFirst()
      if (first === undefined) return
      const until = first.record_index + ROWS_PER_DELETE
      await this.db.deleteFrom('job_record').where('job_id', '=', jobId).where('record_index', '<', until).execute()
    }
  }
}

/** At least 1. */
function numFitting(lengths: readonly number[]): number {
  let sum = 0
  const firstBeyond = lengths.findIndex((length) => (sum += length) > MAX_PAGE_LENGTH)
  return firstBeyond === -1 ? lengths.length : Math.max(1, firstBeyond)
}

function placeOf({ job_id, record_index }: Pick<JobRecordRow, 'job_id' | 'record_index'>): string {
  return `${job_id} ${record_index}`
}

/** The places that were empty before. */
async function insertRecords(db: Kysely<Schema>, rows: readonly JobRecordRow[]): Promise<ReadonlySet<string>> {
  const made = new Set<string>()
  for (let start = 0; start < rows.length; start += ROWS_PER_INSERT) {
    const inserted = await db
      .insertInto('job_record')
      .values(rows.slice(start, start + ROWS_PER_INSERT))
      .onConflict((conflict) => conflict.doNothing())
      .returning(['job_id', 'record_index'])
      .execute()
    for (const row of inserted) made.add(placeOf(row))
  }
  return made
}

function fenceOf({ id, attempt }: NewRecord['holder']): string {
  return `${id} ${attempt}`
}

/** Changes nothing, and keeps the row from being taken by another until the transaction ends. Its faults; null = somebody else has it. */
async function lockHeld(db: Kysely<Schema>, { id, attempt }: NewRecord['holder']): Promise<number | null> {
  const phase: JobRow['phase'] = 'running'
  const held = await db
    .updateTable('job')
    .set({ attempt: sql`attempt` })
    .where('id', '=', id)
    .where('phase', '=', phase)
    .where('attempt', '=', attempt)
    .returning('num_faults')
    .executeTakeFirst()
  return held === undefined ? null : Number(held.num_faults)
}
