/** How many jobs of a kind wait in each lane, and since when. Counts are kept as they change: a million that wait cost no more to ask for than ten. */
import { sql, type Kysely } from 'kysely'
import type { JobKind } from '#contract/job'
import type { Schema } from './schema.ts'

export interface LaneBacklog {
  readonly lane: string
  readonly numWaiting: number
  /** Of the one that is to be run first. */
  readonly oldestMs: number
}

export async function selectBacklog(db: Kysely<Schema>, kind: JobKind): Promise<readonly LaneBacklog[]> {
  const rows = await db
    .selectFrom('job_line as line')
    .select(({ fn }) => [
      'line.lane',
      fn.sum<number>('line.num_waiting').as('numWaiting'),
      // One look at the beginning of each line's index.
      sql<
        number | null
      >`min((select min(job.ready_ms) from job where job.phase = 'waiting' and job.kind = line.kind and job.lane = line.lane and job.team = line.team))`.as(
        'oldestMs',
      ),
    ])
    .where('line.kind', '=', kind)
    .where('line.num_waiting', '>', 0)
    .groupBy('line.lane')
    .orderBy('line.lane')
    .execute()
  return rows.flatMap(({ lane, numWaiting, oldestMs }) =>
    oldestMs === null ? [] : [{ lane, numWaiting: Number(numWaiting), oldestMs: Number(oldestMs) }],
  )
}
