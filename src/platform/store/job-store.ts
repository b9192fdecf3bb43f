/**
 * Jobs as they are kept: rows and the changes of the machine over them. Each writing method is one transaction, on the disk when it
 * resolves. A change is made only if the row still stands where the change starts from: that is the fence.
 */
import { sql, type Kysely, type Transaction } from 'kysely'
import type { JobKind, JobQuery } from '#contract/job'
import type { JobChange, JobHolderRow, JobLabelRow, JobLineRow, JobRow } from './job-rows.ts'
import { selectJobList } from './job-list.ts'
import { addChange, addToLines, addWaiting, isFull, type LineDeltas, selectWaiting, type WaitingBounds } from './job-lines.ts'
import { JobRecordStore } from './job-record-store.ts'
import type { Schema } from './schema.ts'
import { takeLock } from './take-lock.ts'

export interface NewJob {
  readonly row: JobRow
  readonly labels: Readonly<Record<string, string>>
}

/** known: the idempotency key belongs to this job. full: a bound stands against it. taken: there is another job of that id. */
export type Submission =
  | { readonly outcome: 'made' | 'known'; readonly row: JobRow }
  | { readonly outcome: 'full'; readonly isTeam: boolean }
  | { readonly outcome: 'taken' }

export interface LineQuery {
  readonly kind: JobKind
  /** Lines behind this one in the order of service; null = from the one that has waited longest. */
  readonly after: JobLineRow | null
  readonly limit: number
}

export interface LineOrder {
  readonly line: Pick<JobRow, 'kind' | 'lane' | 'team'>
  readonly nowMs: number
  /** Nobody waits longer on purpose: what is to wait longer was dated by a clock that was ahead, and waits no more. */
  readonly maxDelayMs: number
  readonly limit: number
}

/** 28 columns each, far below the 32,766 values that one statement of SQLite takes. */
export const MAX_JOBS_PER_INSERT = 500
/** The bounds on what waits are read before they are used up. */
const SUBMIT_LOCK = 'submit jobs'
const MAX_LABELS_PER_INSERT = 4000

/** Methods throw store_failed. */
export class JobStore {
  readonly records: JobRecordStore
  private readonly db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.db = db
    this.records = new JobRecordStore(db)
  }

  /** In order; at most MAX_JOBS_PER_INSERT. What one cannot have does not stop the others. */
  submit(jobs: readonly NewJob[], bounds: WaitingBounds): Promise<readonly Submission[]> {
    return this.db.transaction().execute(async (step) => {
      await takeLock(step, SUBMIT_LOCK)
      const known = await selectByKeys(step, jobs)
      const waiting = await selectWaiting(step)
      const fitting = new Set<NewJob>()
      const keys = new Set(known.keys())
      for (const job of jobs) {
        const key = keyOf(job.row)
        if ((key !== null && keys.has(key)) || isFull(waiting, job.row.team, bounds) !== null) continue
        fitting.add(job)
        if (key !== null) keys.add(key)
        waiting.total++
        waiting.byTeam.set(job.row.team, (waiting.byTeam.get(job.row.team) ?? 0) + 1)
      }
      const made = await insertJobs(step, [...fitting])
      // Of the keys that others took meanwhile, in this group or beside it.
      const all = await selectByKeys(step, jobs)
      return jobs.map(({ row }): Submission => {
        if (made.has(row.id)) return { outcome: 'made', row }
        const owner = all.get(keyOf(row) ?? '')
        if (owner !== undefined) return { outcome: 'known', row: owner }
        const full = isFull(waiting, row.team, bounds)
        return full === null ? { outcome: 'taken' } : { outcome: 'full', isTeam: full === 'team' }
      })
    })
  }

  /**
   * Which of the changes were made. `holder`: whose claims they are; when it is not known any more none is made, and the answer is null.
   * A claim is a sign of life.
   */
  apply(changes: readonly JobChange[], holder: string | null = null): Promise<readonly boolean[] | null> {
    return this.db.transaction().execute(async (step) => {
      if (holder !== null && !(await beat(step, holder))) return null
      const made: boolean[] = []
      const deltas: LineDeltas = new Map()
      for (const change of changes) {
        const isMade = await applyChange(step, change)
        made.push(isMade)
        if (isMade) addChange(deltas, change)
      }
      await addToLines(step, deltas)
      return made
    })
  }

  async find(id: string): Promise<JobRow | null> {
    return (await this.db.selectFrom('job').selectAll().where('id', '=', id).executeTakeFirst()) ?? null
  }

  /** Newest first. An `afterId` that the team does not have is behind everything. */
  list(query: JobQuery): Promise<readonly JobRow[]> {
    return selectJobList(this.db, query)
  }

  /** Lines in which somebody waits, the one that was served longest ago first. */
  lines({ kind, after, limit }: LineQuery): Promise<readonly JobLineRow[]> {
    let query = this.db.selectFrom('job_line').selectAll().where('kind', '=', kind).where('num_waiting', '>', 0)
    if (after !== null) {
      query = query.where((e) => e(e.refTuple('served_ms', 'lane', 'team'), '>', e.tuple(after.served_ms, after.lane, after.team)))
    }
    return query.orderBy('served_ms').orderBy('lane').orderBy('team').limit(limit).execute()
  }

  /** All lines in which somebody waits. */
  backlog(): Promise<readonly JobLineRow[]> {
    return this.db.selectFrom('job_line').selectAll().where('num_waiting', '>', 0).execute()
  }

  /** Those that may be claimed, in the order of the line. */
  async ready({ line, nowMs, maxDelayMs, limit }: LineOrder): Promise<readonly JobRow[]> {
    const waiting = this.db
      .selectFrom('job')
      .selectAll()
      .where('phase', '=', 'waiting')
      .where((e) => e.and({ kind: line.kind, lane: line.lane, team: line.team }))
      .orderBy('ready_ms')
      .orderBy('id')
    const rows = await waiting.where('ready_ms', '<=', nowMs).limit(limit).execute()
    if (rows.length === limit) return rows
    const misdated = waiting.where('ready_ms', '>', nowMs + maxDelayMs).limit(limit - rows.length)
    return [...rows, ...(await misdated.execute())]
  }

  doomed(kinds: readonly JobKind[], { nowMs, maxDelayMs, limit }: Omit<LineOrder, 'line'>): Promise<readonly JobRow[]> {
    return this.db
      .selectFrom('job')
      .selectAll()
      .where('phase', '=', 'doomed')
      .where('kind', 'in', kinds)
      .where((e) => e.or([e('ready_ms', '<=', nowMs), e('ready_ms', '>', nowMs + maxDelayMs)]))
      .limit(limit)
      .execute()
  }

  overdue(nowMs: number, limit: number): Promise<readonly JobRow[]> {
    return this.db.selectFrom('job').selectAll().where('due_ms', '<=', nowMs).orderBy('due_ms').limit(limit).execute()
  }

  /** Ids of those that their holder has been asked to end. */
  async cancelRequested(holder: string): Promise<readonly string[]> {
    const rows = await this.db.selectFrom('job').select('id').where('holder', '=', holder).where('cancel_ms', 'is not', null).execute()
    return rows.map(({ id }) => id)
  }

  /** Held by nobody who is known. */
  orphans(limit: number): Promise<readonly JobRow[]> {
    return this.db
      .selectFrom('job')
      .selectAll()
      .where('holder', 'is not', null)
      .where('holder', 'not in', (from) => from.selectFrom('job_holder').select('id'))
      .limit(limit)
      .execute()
  }

  holders(): Promise<readonly JobHolderRow[]> {
    return this.db.selectFrom('job_holder').selectAll().execute()
  }

  async addHolder(id: string): Promise<void> {
    await this.db.insertInto('job_holder').values({ id, beat: 0 }).execute()
  }

  /** False: it was declared dead. */
  beat(id: string): Promise<boolean> {
    return beat(this.db, id)
  }

  /** Unless it has given a sign of life since; null = however that is. */
  async dropHolder(id: string, beatSeen: number | null): Promise<boolean> {
    let query = this.db.deleteFrom('job_holder').where('id', '=', id)
    if (beatSeen !== null) query = query.where('beat', '=', beatSeen)
    return Number((await query.executeTakeFirst()).numDeletedRows) > 0
  }

  /** Jobs that ended before, with all that belongs to them. How many went. */
  async forgetEnded(beforeMs: number, limit: number): Promise<number> {
    const rows = await this.db.selectFrom('job').select('id').where('ended_ms', '<', beforeMs).orderBy('ended_ms').limit(limit).execute()
    for (const { id } of rows) await this.forget(id)
    return rows.length
  }

  /** False: it has not ended, or there is none. */
  async forget(id: string): Promise<boolean> {
    const ended = await this.db.selectFrom('job').select('id').where('id', '=', id).where('ended_ms', 'is not', null).executeTakeFirst()
    if (ended === undefined) return false
    await this.records.clear(id)
    return this.db.transaction().execute(async (step) => {
      await step.deleteFrom('job_label').where('job_id', '=', id).execute()
      return Number((await step.deleteFrom('job').where('id', '=', id).executeTakeFirst()).numDeletedRows) > 0
    })
  }

  /** Lines in which nobody waits. */
  async forgetLines(): Promise<void> {
    await this.db.deleteFrom('job_line').where('num_waiting', '=', 0).execute()
  }

  /** Jobs that ended and still have outcomes of records: their holder died before it had cleared them. */
  async endedWithRecords(limit: number): Promise<readonly string[]> {
    const rows = await this.db
      .selectFrom('job_record')
      .select('job_id')
      .where('job_id', 'in', (from) => from.selectFrom('job').select('id').where('ended_ms', 'is not', null))
      .distinct()
      .limit(limit)
      .execute()
    return rows.map((row) => row.job_id)
  }
}

function keyOf({ team, idempotency_key: key }: Pick<JobRow, 'team' | 'idempotency_key'>): string | null {
  return key === null ? null : JSON.stringify([team, key])
}

async function selectByKeys(db: Kysely<Schema>, jobs: readonly NewJob[]): Promise<ReadonlyMap<string, JobRow>> {
  const keys = [...new Set(jobs.flatMap(({ row }) => (row.idempotency_key === null ? [] : [row.idempotency_key])))]
  if (keys.length === 0) return new Map()
  const teams = [...new Set(jobs.map(({ row }) => row.team))]
  const rows = await db.selectFrom('job').selectAll().where('team', 'in', teams).where('idempotency_key', 'in', keys).execute()
  return new Map(rows.map((row) => [keyOf(row) ?? '', row]))
}

/** The ids that were not there before, nor their keys. */
async function insertJobs(db: Transaction<Schema>, jobs: readonly NewJob[]): Promise<ReadonlySet<string>> {
  if (jobs.length === 0) return new Set()
  const rows = jobs.map(({ row }) => row)
  const inserted = await db
    .insertInto('job')
    .values(rows)
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .execute()
  const ids = new Set(inserted.map(({ id }) => id))
  const deltas: LineDeltas = new Map()
  const labels: JobLabelRow[] = []
  for (const { row, labels: named } of jobs) {
    if (!ids.has(row.id)) continue
    const { id: job_id, kind, lane, team, created_ms } = row
    addWaiting(deltas, { kind, lane, team, num_waiting: 1, served_ms: 0 })
    for (const [name, value] of Object.entries(named)) labels.push({ job_id, team, kind, name, value, created_ms })
  }
  for (let start = 0; start < labels.length; start += MAX_LABELS_PER_INSERT) {
    await db
      .insertInto('job_label')
      .values(labels.slice(start, start + MAX_LABELS_PER_INSERT))
      .execute()
  }
  await addToLines(db, deltas)
  return ids
}

async function applyChange(db: Transaction<Schema>, { id, from, to, patch }: JobChange): Promise<boolean> {
  const made = await db
    .updateTable('job')
    .set({ ...patch, phase: to })
    .where('id', '=', id)
    .where('phase', '=', from.phase)
    .where('attempt', '=', from.attempt)
    .executeTakeFirst()
  return Number(made.numUpdatedRows) > 0
}

async function beat(db: Kysely<Schema>, id: string): Promise<boolean> {
  const made = await db
    .updateTable('job_holder')
    .set({ beat: sql`beat + 1` })
    .where('id', '=', id)
    .executeTakeFirst()
  return Number(made.numUpdatedRows) > 0
}
