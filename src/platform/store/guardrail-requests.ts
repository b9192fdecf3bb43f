/** Requests that made a guardrail or a version of one, by the token that their client put into them: what comes again makes nothing. */
import { sql, type Kysely } from 'kysely'
import { InferdError } from '#contract/errors'
import { type GuardrailRow, lockGuardrails } from './guardrails-table.ts'
import type { Schema } from './schema.ts'

export interface GuardrailRequestRow {
  readonly team: string
  readonly token: string
  /** Of everything that was asked for. */
  readonly digest: string
  /** What was made; it may have been changed or deleted since. */
  readonly guardrail_id: string
  readonly version: number
  readonly made_ms: number
}

export interface GuardrailRequest extends Pick<GuardrailRequestRow, 'team' | 'digest'> {
  /** null = the client brought none: nothing is remembered. */
  readonly token: string | null
  readonly nowMs: number
}

export type MadeRow = Pick<GuardrailRow, 'id' | 'version' | 'created_ms'>

/** Longer than any signature is good for, and than any client tries. */
const KEPT_MS = 24 * 3_600_000

export async function createGuardrailRequestTable(db: Kysely<Schema>): Promise<void> {
  const bigint = sql`bigint`
  await db.schema
    .createTable('guardrail_request')
    .addColumn('team', 'text', (column) => column.notNull())
    .addColumn('token', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('guardrail_id', 'text', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('made_ms', bigint, (column) => column.notNull())
    .addPrimaryKeyConstraint('guardrail_request_key', ['team', 'token'])
    .execute()
  await db.schema.createIndex('guardrail_request_by_age').on('guardrail_request').columns(['made_ms']).execute()
}

/**
 * What `make` made, now or when the same request came first; null when it made nothing. One transaction with what `make` does. Throws conflict
 * for a token that came with another request.
 */
export async function makeOnce(
  db: Kysely<Schema>,
  { team, token, digest, nowMs }: GuardrailRequest,
  make: (step: Kysely<Schema>) => Promise<GuardrailRow | null>,
): Promise<MadeRow | null> {
  return db.transaction().execute(async (step) => {
    await lockGuardrails(step, team)
    if (token === null) return make(step)
    await step
      .deleteFrom('guardrail_request')
      .where('made_ms', '<', nowMs - KEPT_MS)
      .execute()
    const requests = step.selectFrom('guardrail_request').selectAll().where('team', '=', team)
    const before = await requests.where('token', '=', token).executeTakeFirst()
    if (before !== undefined && before.digest !== digest) throw new InferdError('conflict', 'the token has come with another request')
    if (before !== undefined) return { id: before.guardrail_id, version: before.version, created_ms: before.made_ms }
    const row = await make(step)
    if (row === null) return null
    const made = { guardrail_id: row.id, version: row.version, made_ms: row.created_ms }
    await step
      .insertInto('guardrail_request')
      .values({ team, token, digest, ...made })
      .execute()
    return row
  })
}
