/** The traffic of models by the minute, out of the ledger. */
import { sql, type Kysely } from 'kysely'
import type { Usage } from '#contract/generate'
import type { UsageFilter } from '#contract/usage-record'
import type { Schema } from './schema.ts'
import { matching } from './usage-table.ts'

export interface MinuteRow {
  readonly model: string
  /** Since 1970. */
  readonly minute: number
  readonly numRequests: number
  readonly usage: Usage
  readonly billedMs: number
  /** Prompt and output tokens of the tier flex, in which batches run. */
  readonly patientTokens: number
}

const MINUTE_MS = 60_000

/** Calls that a model answered, in order of time; shadows and hours of provisioned throughput are none. `limit`: most rows. */
export async function selectMinutes(db: Kysely<Schema>, filter: UsageFilter, limit: number): Promise<readonly MinuteRow[]> {
  const minute = sql<number>`wall_ms / ${sql.lit(MINUTE_MS)}`
  const query = db
    .selectFrom('usage')
    .select([
      'model',
      minute.as('minute'),
      sql<number>`count(*)`.as('num_requests'),
      sql<number>`sum(input_tokens)`.as('input_tokens'),
      sql<number>`sum(cached_tokens)`.as('cached_tokens'),
      sql<number>`sum(cache_write_tokens)`.as('cache_write_tokens'),
      sql<number>`sum(output_tokens)`.as('output_tokens'),
      sql<number>`sum(reasoning_tokens)`.as('reasoning_tokens'),
      sql<number>`sum(billed_us)`.as('billed_us'),
      sql<number>`sum(case when tier = 'flex' then input_tokens + output_tokens else 0 end)`.as('patient_tokens'),
    ])
    .where(matching(filter))
    .where('model', 'is not', null)
    .where('operation', '<>', 'provisioned_throughput')
    .where('team', '<>', 'inferd-shadow')
    .groupBy(['model', minute])
    .orderBy(minute)
    .orderBy('model')
    .limit(limit)
  const rows = await query.execute()
  return rows.map((row) => ({
    model: row.model ?? '',
    minute: Number(row.minute),
    numRequests: Number(row.num_requests),
    usage: {
      promptTokens: Number(row.input_tokens),
      cachedTokens: Number(row.cached_tokens),
      cacheWriteTokens: Number(row.cache_write_tokens),
      completionTokens: Number(row.output_tokens),
      reasoningTokens: Number(row.reasoning_tokens),
    },
    billedMs: Number(row.billed_us) / 1000,
    patientTokens: Number(row.patient_tokens),
  }))
}
