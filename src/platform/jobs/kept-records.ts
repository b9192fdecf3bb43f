/** The outcomes of one job's records: written in groups with those of other jobs under the fence of their holder, read page by page. */
import { InferdError } from '#contract/errors'
import type { JobRow } from '#platform/store/job-rows'
import type { JobRecordStore, NewRecord, RecordVerdict } from '#platform/store/job-record-store'
import type { GroupCommit } from './group-commit.ts'
import type { JobRecords, RecordOutcome } from './job-handler.ts'

export type RecordWriter = Pick<GroupCommit<NewRecord, RecordVerdict>, 'add'>

const INDICES_PER_PAGE = 10_000
/** At most: fewer come when lines are large. */
const LINES_PER_PAGE = 64

export class KeptRecords implements JobRecords {
  private readonly store: Pick<JobRecordStore, 'finished' | 'read'>
  private readonly writer: RecordWriter
  private readonly holder: NewRecord['holder']
  private numNew = 0

  constructor(store: Pick<JobRecordStore, 'finished' | 'read'>, writer: RecordWriter, { id, attempt }: Pick<JobRow, 'id' | 'attempt'>) {
    this.store = store
    this.writer = writer
    this.holder = { id, attempt }
  }

  /** An outcome that was not there before is on the disk. */
  get hasNew(): boolean {
    return this.numNew > 0
  }

  async put({ index, isOk, line }: RecordOutcome): Promise<void> {
    const row = { job_id: this.holder.id, record_index: index, is_ok: isOk ? 1 : 0, line }
    const verdict = await this.writer.add({ holder: this.holder, row })
    if (verdict === 'new') this.numNew++
    if (verdict !== 'lost') return
    throw new InferdError('conflict', 'the job is not held by this attempt any more')
  }

  async *finished(): AsyncGenerator<Pick<RecordOutcome, 'index' | 'isOk'>> {
    for (let afterIndex = -1; ;) {
      const page = await this.store.finished({ jobId: this.holder.id, afterIndex, limit: INDICES_PER_PAGE })
      for (const row of page) yield { index: row.record_index, isOk: row.is_ok === 1 }
      const last = page.at(-1)
      if (last === undefined || page.length < INDICES_PER_PAGE) return
      afterIndex = last.record_index
    }
  }

  async *read(): AsyncGenerator<RecordOutcome> {
    for (let afterIndex = -1; ;) {
      const page = await this.store.read({ jobId: this.holder.id, afterIndex, limit: LINES_PER_PAGE })
      for (const row of page) yield { index: row.record_index, isOk: row.is_ok === 1, line: row.line }
      const last = page.at(-1)
      if (last === undefined) return
      afterIndex = last.record_index
    }
  }
}
