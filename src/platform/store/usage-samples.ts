/** Calls of an endpoint out of the ledger, by the unit that answered: counts of all, and times of the newest. */
import { sql, type Kysely } from 'kysely'
import type { Schema } from './schema.ts'

export interface UnitCounts {
  /** `endpoint/variant@generation`. */
  readonly unit: string
  readonly numCalls: number
  readonly numErrors: number
  readonly isShadow: boolean
}

/** One answered call. Milliseconds; null = it had none. */
export interface CallSample {
  readonly ttftMs: number | null
  readonly tpotMs: number | null
  readonly durationMs: number
  readonly outputTokens: number
  /** US dollars; null = of a shadow, which nobody pays for. */
  readonly cost: number | null
}

export interface SampleRange {
  readonly fromMs: number
  readonly toMs: number
}

const SHADOW_TEAM = 'inferd-shadow'
const MICROS_PER_USD = 1e6
const PICOS_PER_USD = 1e12

/** Of calls to the endpoint's own name: who names a variant chose it, and is no part of the experiment. At most `limit`, in order of their names. */
export async function countUnits(db: Kysely<Schema>, endpoint: string, { fromMs, toMs }: SampleRange, limit: number): Promise<readonly UnitCounts[]> {
  const rows = await db
    .selectFrom('usage')
    .select([
      'model',
      sql<number>`count(*)`.as('num_calls'),
      sql<number>`count(error)`.as('num_errors'),
      sql<number>`count(case when team = ${SHADOW_TEAM} then 1 end)`.as('num_shadows'),
    ])
    .where('requested_model', '=', endpoint)
    .where('model', '>=', `${endpoint}/`)
    .where('model', '<', `${endpoint}0`)
    .where('wall_ms', '>=', fromMs)
    .where('wall_ms', '<', toMs)
    .groupBy('model')
    .orderBy('model')
    .limit(limit)
    .execute()
  return rows.map(({ model, num_calls: numCalls, num_errors: numErrors, num_shadows: numShadows }) => ({
    unit: model ?? '',
    numCalls: Number(numCalls),
    numErrors: Number(numErrors),
    isShadow: Number(numShadows) === Number(numCalls),
  }))
}

/** Newest first. */
export async function selectSamples(
  db: Kysely<Schema>,
  { endpoint, unit }: { readonly endpoint: string; readonly unit: string },
  { fromMs, toMs }: SampleRange,
  limit: number,
): Promise<readonly CallSample[]> {
  const rows = await db
    .selectFrom('usage')
    .select(['ttft_us', 'tpot_us', 'duration_us', 'output_tokens', 'cost_micros', 'cost_rest', 'team'])
    .where('requested_model', '=', endpoint)
    .where('model', '=', unit)
    .where('error', 'is', null)
    .where('wall_ms', '>=', fromMs)
    .where('wall_ms', '<', toMs)
    .orderBy('wall_ms', 'desc')
    .limit(limit)
    .execute()
  return rows.map((row) => ({
    ttftMs: row.ttft_us === null ? null : Number(row.ttft_us) / 1000,
    tpotMs: row.tpot_us === null ? null : Number(row.tpot_us) / 1000,
    durationMs: Number(row.duration_us) / 1000,
    outputTokens: Number(row.output_tokens),
    cost: row.team === SHADOW_TEAM ? null : Number(row.cost_micros) / MICROS_PER_USD + Number(row.cost_rest) / PICOS_PER_USD,
  }))
}
