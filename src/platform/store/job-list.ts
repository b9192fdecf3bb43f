/** Lists of a team's jobs, newest first, read in the order of an index however many there are. */
import type { Kysely } from 'kysely'
import type { JobQuery } from '#contract/job'
import type { JobRow } from './job-rows.ts'
import type { Schema } from './schema.ts'

type Place = Pick<JobRow, 'created_ms' | 'id'>

export async function selectJobList(db: Kysely<Schema>, query: JobQuery): Promise<readonly JobRow[]> {
  const { team, afterId } = query
  const after =
    afterId === null
      ? null
      : await db.selectFrom('job').select(['created_ms', 'id']).where('id', '=', afterId).where('team', '=', team).executeTakeFirst()
  if (after === undefined) return []
  const ids = Object.keys(query.labels).length === 0 ? await selectIds(db, query, after) : await selectLabelledIds(db, query, after)
  if (ids.length === 0) return []
  const rows = await db.selectFrom('job').selectAll().where('id', 'in', ids).execute()
  const order = new Map(ids.map((id, index) => [id, index]))
  return rows.toSorted((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0))
}

async function selectIds(db: Kysely<Schema>, { team, kind, limit }: JobQuery, after: Place | null): Promise<readonly string[]> {
  let query = db.selectFrom('job').select('id').where('team', '=', team).where('kind', '=', kind)
  if (after !== null) {
    query = query.where((e) =>
      e.or([e('created_ms', '<', after.created_ms), e.and([e('created_ms', '=', after.created_ms), e('id', '<', after.id)])]),
    )
  }
  return (await query.orderBy('created_ms', 'desc').orderBy('id', 'desc').limit(limit).execute()).map(({ id }) => id)
}

/** One label leads, the others are looked up. */
async function selectLabelledIds(db: Kysely<Schema>, { team, kind, labels, limit }: JobQuery, after: Place | null): Promise<readonly string[]> {
  const [[name, value], ...others] = Object.entries(labels) as [[string, string], ...[string, string][]]
  let query = db
    .selectFrom('job_label as leading')
    .select('leading.job_id')
    .where('leading.team', '=', team)
    .where('leading.kind', '=', kind)
    .where('leading.name', '=', name)
    .where('leading.value', '=', value)
  for (const [otherName, otherValue] of others) {
    query = query.where((e) =>
      e.exists(
        e
          .selectFrom('job_label as other')
          .select('other.job_id')
          .whereRef('other.job_id', '=', 'leading.job_id')
          .where('other.name', '=', otherName)
          .where('other.value', '=', otherValue),
      ),
    )
  }
  if (after !== null) {
    query = query.where((e) =>
      e.or([
        e('leading.created_ms', '<', after.created_ms),
        e.and([e('leading.created_ms', '=', after.created_ms), e('leading.job_id', '<', after.id)]),
      ]),
    )
  }
  return (await query.orderBy('leading.created_ms', 'desc').orderBy('leading.job_id', 'desc').limit(limit).execute()).map((row) => row.job_id)
}
