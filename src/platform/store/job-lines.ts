/** How many jobs wait in each line: what bounds them, and whose turn it is. Counted in the transaction that moves a job, so that nobody counts jobs. */
import { sql, type Kysely } from 'kysely'
import type { JobChange, JobLineRow } from './job-rows.ts'
import type { Schema } from './schema.ts'

/** Of jobs that wait. */
export interface WaitingBounds {
  readonly maxWaiting: number
  readonly maxWaitingPerTeam: number
}

/** By line; what is added to its row. */
export type LineDeltas = Map<string, JobLineRow>

export interface Waiting {
  total: number
  readonly byTeam: Map<string, number>
}

export async function selectWaiting(db: Kysely<Schema>): Promise<Waiting> {
  const rows = await db
    .selectFrom('job_line')
    .select(({ fn }) => ['team', fn.sum<number | string>('num_waiting').as('total')])
    .groupBy('team')
    .execute()
  const byTeam = new Map(rows.map(({ team, total }) => [team, Number(total)]))
  return { total: [...byTeam.values()].reduce((sum, count) => sum + count, 0), byTeam }
}

export function isFull({ total, byTeam }: Waiting, team: string, { maxWaiting, maxWaitingPerTeam }: WaitingBounds): 'team' | 'all' | null {
  if ((byTeam.get(team) ?? 0) >= maxWaitingPerTeam) return 'team'
  return total >= maxWaiting ? 'all' : null
}

/** What the change does to its line. */
export function addChange(deltas: LineDeltas, { line, from, to, patch }: JobChange): void {
  const num_waiting = (to === 'waiting' ? 1 : 0) - (from.phase === 'waiting' ? 1 : 0)
  if (num_waiting === 0) return
  addWaiting(deltas, { ...line, num_waiting, served_ms: to === 'running' ? (patch.started_ms ?? 0) : 0 })
}

export function addWaiting(deltas: LineDeltas, delta: JobLineRow): void {
  const key = JSON.stringify([delta.kind, delta.lane, delta.team])
  const before = deltas.get(key)
  const num_waiting = delta.num_waiting + (before?.num_waiting ?? 0)
  deltas.set(key, { ...delta, num_waiting, served_ms: Math.max(delta.served_ms, before?.served_ms ?? 0) })
}

export async function addToLines(db: Kysely<Schema>, deltas: LineDeltas): Promise<void> {
  // In one order for all: of two transactions none waits for the other's line while it holds its own.
  for (const [, delta] of [...deltas].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    await db
      .insertInto('job_line')
      .values(delta)
      .onConflict((conflict) =>
        conflict.columns(['kind', 'lane', 'team']).doUpdateSet({
          num_waiting: sql`job_line.num_waiting + excluded.num_waiting`,
          served_ms: sql`case when excluded.served_ms > job_line.served_ms then excluded.served_ms else job_line.served_ms end`,
        }),
      )
      .execute()
  }
}
