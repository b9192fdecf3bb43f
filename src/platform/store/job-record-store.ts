/** Outcomes of the records of jobs, kept while a job runs so that another attempt repeats no finished one. */
import { sql, type Kysely } from 'kysely'
import type { JobRecordRow, JobRow } from './job-rows.ts'
import type { Schema } from './schema.ts'

export interface NewRecord {
  /** The fence of whoever writes it. */
  readonly holder: { readonly id: string; readonly attempt: number }
  readonly row: JobRecordRow
}

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

  /** All in one transaction. False: the writer does not hold its job any more, and nothing of it was written. The first outcome of an index stays. */
  put(records: readonly NewRecord[]): Promise<readonly boolean[]> {
    return this.db.transaction().execute(async (step) => {
      const isHeld = new Map<string, boolean>()
      for (const { holder } of records) {
        const key = fenceOf(holder)
        if (!isHeld.has(key)) isHeld.set(key, await lockHeld(step, holder))
      }
      const rows = records.filter(({ holder }) => isHeld.get(fenceOf(holder)) === true).map(({ row }) => row)
      for (let start = 0; start < rows.length; start += ROWS_PER_INSERT) {
        await step
          .insertInto('job_record')
          .values(rows.slice(start, start + ROWS_PER_INSERT))
          .onConflict((conflict) => conflict.doNothing())
          .execute()
      }
      return records.map(({ holder }) => isHeld.get(fenceOf(holder)) === true)
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

function fenceOf({ id, attempt }: NewRecord['holder']): string {
  return `${id} ${attempt}`
}

/** Changes nothing, and keeps the row from being taken by another until the transaction ends. */
async function lockHeld(db: Kysely<Schema>, { id, attempt }: NewRecord['holder']): Promise<boolean> {
  const phase: JobRow['phase'] = 'running'
  const held = await db
    .updateTable('job')
    .set({ attempt: sql`attempt` })
    .where('id', '=', id)
    .where('phase', '=', phase)
    .where('attempt', '=', attempt)
    .executeTakeFirst()
  return Number(held.numUpdatedRows) > 0
}
