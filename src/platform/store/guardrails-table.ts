/** Guardrails: a draft and its numbered versions, by team. A definition is JSON text: nothing is asked of its parts. */
import { sql, type Kysely } from 'kysely'
import { InferdError } from '#contract/errors'
import type { Schema } from './schema.ts'
import { takeLock } from './take-lock.ts'

export interface GuardrailRow {
  readonly team: string
  readonly id: string
  /** 0 = the draft. */
  readonly version: number
  readonly name: string
  readonly definition: string
  readonly created_ms: number
  readonly updated_ms: number
}

export interface GuardrailBounds {
  readonly perTeam: number
  readonly versionsEach: number
}

export async function createGuardrailTable(db: Kysely<Schema>): Promise<void> {
  const bigint = sql`bigint`
  await db.schema
    .createTable('guardrail')
    .addColumn('team', 'text', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('definition', 'text', (column) => column.notNull())
    .addColumn('created_ms', bigint, (column) => column.notNull())
    .addColumn('updated_ms', bigint, (column) => column.notNull())
    .addPrimaryKeyConstraint('guardrail_key', ['team', 'id', 'version'])
    .execute()
  await db.schema.createIndex('guardrail_by_name').on('guardrail').columns(['team', 'name', 'version']).execute()
}

/** Names and numbers of a team's guardrails are given by one transaction at a time. */
export async function lockGuardrails(step: Kysely<Schema>, team: string): Promise<void> {
  await takeLock(step, `guardrails ${team}`)
}

/** In a transaction with `lockGuardrails`. Throws conflict for a name that the team has, invalid_parameter when it has too many. */
export async function insertDraft(step: Kysely<Schema>, row: GuardrailRow, { perTeam }: GuardrailBounds): Promise<GuardrailRow> {
  const drafts = step.selectFrom('guardrail').where('team', '=', row.team).where('version', '=', 0)
  const same = await drafts.select('id').where('name', '=', row.name).executeTakeFirst()
  if (same !== undefined) throw new InferdError('conflict', `a guardrail with the name '${row.name}' exists`, { param: 'name' })
  const { count } = await drafts.select(step.fn.countAll<number>().as('count')).executeTakeFirstOrThrow()
  if (Number(count) >= perTeam) throw new InferdError('invalid_parameter', `a team has at most ${perTeam} guardrails`)
  await step.insertInto('guardrail').values(row).execute()
  return row
}

/** In a transaction with `lockGuardrails`. The draft as it is now, under the next number; null = there is no such draft. */
export async function insertVersion(
  step: Kysely<Schema>,
  { team, id, nowMs, description }: { readonly team: string; readonly id: string; readonly nowMs: number; readonly description: string | null },
  { versionsEach }: GuardrailBounds,
): Promise<GuardrailRow | null> {
  const all = await step.selectFrom('guardrail').selectAll().where('team', '=', team).where('id', '=', id).orderBy('version').execute()
  const draft = all[0]
  if (draft === undefined || draft.version !== 0) return null
  if (all.length > versionsEach) throw new InferdError('invalid_parameter', `a guardrail has at most ${versionsEach} versions`)
  const definition = description === null ? draft.definition : JSON.stringify({ ...JSON.parse(draft.definition), description })
  const row = { ...draft, definition, version: all.at(-1)!.version + 1, created_ms: nowMs, updated_ms: nowMs }
  await step.insertInto('guardrail').values(row).execute()
  return row
}

/** `guardrail`: id or name. */
export async function selectGuardrail(
  db: Kysely<Schema>,
  { team, guardrail, version }: { readonly team: string; readonly guardrail: string; readonly version: number },
): Promise<GuardrailRow | null> {
  const found = await db
    .selectFrom('guardrail')
    .selectAll()
    .where('team', '=', team)
    .where('version', '=', version)
    .where((where) => where.or([where('id', '=', guardrail), where('name', '=', guardrail)]))
    .execute()
  return found.find(({ id }) => id === guardrail) ?? found[0] ?? null
}

/** Drafts in order of their making. */
export async function selectDrafts(db: Kysely<Schema>, team: string): Promise<readonly GuardrailRow[]> {
  return db.selectFrom('guardrail').selectAll().where('team', '=', team).where('version', '=', 0).orderBy('created_ms').orderBy('id').execute()
}

/** The draft first. */
export async function selectVersions(db: Kysely<Schema>, { team, id }: Pick<GuardrailRow, 'team' | 'id'>): Promise<readonly GuardrailRow[]> {
  return db.selectFrom('guardrail').selectAll().where('team', '=', team).where('id', '=', id).orderBy('version').execute()
}

/** Throws conflict for a name that another guardrail of the team has. False: there is no such draft. */
export async function updateDraft(
  db: Kysely<Schema>,
  { team, id, name, definition, updated_ms }: Omit<GuardrailRow, 'version' | 'created_ms'>,
): Promise<boolean> {
  return db.transaction().execute(async (step) => {
    await lockGuardrails(step, team)
    const drafts = step.selectFrom('guardrail').where('team', '=', team).where('version', '=', 0)
    const same = await drafts.select('id').where('name', '=', name).where('id', '!=', id).executeTakeFirst()
    if (same !== undefined) throw new InferdError('conflict', `a guardrail with the name '${name}' exists`, { param: 'name' })
    const own = step.updateTable('guardrail').where('team', '=', team).where('id', '=', id)
    const changed = await own.where('version', '=', 0).set({ name, definition, updated_ms }).executeTakeFirst()
    return Number(changed.numUpdatedRows) > 0
  })
}

/** `version` null = all of it. False: there was none. */
export async function deleteGuardrail(
  db: Kysely<Schema>,
  { team, id, version }: { readonly team: string; readonly id: string; readonly version: number | null },
): Promise<boolean> {
  const all = db.deleteFrom('guardrail').where('team', '=', team).where('id', '=', id)
  const deleted = await (version === null ? all : all.where('version', '=', version)).executeTakeFirst()
  return Number(deleted.numDeletedRows) > 0
}
