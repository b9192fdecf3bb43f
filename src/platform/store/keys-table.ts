/** Keys and the limits of teams. No secret is in a row in the clear; a key is never deleted, so that the ledger's ids keep their meaning. */
import { sql, type Kysely } from 'kysely'
import type { Schema } from './schema.ts'

export interface ApiKeyRow {
  /** Of a signing key: its access key id. */
  readonly id: string
  readonly kind: string
  readonly name: string
  readonly team: string
  /** Hex SHA-256; null = a signing key. */
  readonly secret_hash: string | null
  /** null = a bearer key. */
  readonly sealed_secret: string | null
  /** JSON. */
  readonly scopes: string
  /** JSON; null = all. */
  readonly models: string | null
  /** JSON of CallerLimits. */
  readonly limits: string
  readonly created_ms: number
  readonly expires_ms: number | null
  readonly revoked_ms: number | null
  readonly last_used_ms: number | null
}

export interface TeamRow {
  readonly name: string
  /** JSON of CallerLimits. */
  readonly limits: string
}

export type KeyWithTeam = ApiKeyRow & { readonly team_limits: string | null }

export async function createKeyTables(db: Kysely<Schema>): Promise<void> {
  await db.schema
    .createTable('api_key')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('team', 'text', (column) => column.notNull())
    .addColumn('secret_hash', 'text')
    .addColumn('sealed_secret', 'text')
    .addColumn('scopes', 'text', (column) => column.notNull())
    .addColumn('models', 'text')
    .addColumn('limits', 'text', (column) => column.notNull())
    .addColumn('created_ms', sql`bigint`, (column) => column.notNull())
    .addColumn('expires_ms', sql`bigint`)
    .addColumn('revoked_ms', sql`bigint`)
    .addColumn('last_used_ms', sql`bigint`)
    .execute()
  await db.schema
    .createTable('team')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('limits', 'text', (column) => column.notNull())
    .execute()
}

export async function insertKey(db: Kysely<Schema>, row: ApiKeyRow): Promise<void> {
  await db.insertInto('api_key').values(row).execute()
}

/** The new key is there exactly when the old one has its end. */
export async function replaceKey(db: Kysely<Schema>, row: ApiKeyRow, old: { readonly id: string; readonly expiresMs: number }): Promise<void> {
  await db.transaction().execute(async (step) => {
    await step.insertInto('api_key').values(row).execute()
    await step.updateTable('api_key').set({ expires_ms: old.expiresMs }).where('id', '=', old.id).execute()
  })
}

export async function selectKey(db: Kysely<Schema>, id: string): Promise<KeyWithTeam | null> {
  const row = await withTeam(db).where('api_key.id', '=', id).executeTakeFirst()
  return row ?? null
}

/** Newest first. */
export async function selectKeys(db: Kysely<Schema>, limit: number): Promise<readonly KeyWithTeam[]> {
  return withTeam(db).orderBy('created_ms', 'desc').orderBy('id').limit(limit).execute()
}

/** Also of keys that are of no use any more. */
export async function hasKeyRows(db: Kysely<Schema>): Promise<boolean> {
  return (await db.selectFrom('api_key').select('id').limit(1).executeTakeFirst()) !== undefined
}

/** False = there is none, or it was revoked before. */
export async function markRevoked(db: Kysely<Schema>, id: string, revokedMs: number): Promise<boolean> {
  const rows = await db
    .updateTable('api_key')
    .set({ revoked_ms: revokedMs })
    .where('id', '=', id)
    .where('revoked_ms', 'is', null)
    .returning('id')
    .execute()
  return rows.length > 0
}

export async function updateKeyLimits(db: Kysely<Schema>, id: string, limits: string): Promise<void> {
  await db.updateTable('api_key').set({ limits }).where('id', '=', id).execute()
}

/** Moves forward only: several servers may write. In the order of ids, so that they never wait for each other in a circle. */
export async function updateLastUsed(db: Kysely<Schema>, uses: ReadonlyMap<string, number>): Promise<void> {
  await db.transaction().execute(async (step) => {
    for (const [id, usedMs] of [...uses].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      await step
        .updateTable('api_key')
        .set({ last_used_ms: usedMs })
        .where('id', '=', id)
        .where((e) => e.or([e('last_used_ms', 'is', null), e('last_used_ms', '<', usedMs)]))
        .execute()
    }
  })
}

export async function upsertTeam(db: Kysely<Schema>, row: TeamRow): Promise<void> {
  await db
    .insertInto('team')
    .values(row)
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ limits: row.limits }))
    .execute()
}

export async function selectTeam(db: Kysely<Schema>, name: string): Promise<TeamRow | null> {
  return (await db.selectFrom('team').selectAll().where('name', '=', name).executeTakeFirst()) ?? null
}

export async function selectTeams(db: Kysely<Schema>, limit: number): Promise<readonly TeamRow[]> {
  return db.selectFrom('team').selectAll().orderBy('name').limit(limit).execute()
}

function withTeam(db: Kysely<Schema>) {
  return db.selectFrom('api_key').leftJoin('team', 'team.name', 'api_key.team').selectAll('api_key').select('team.limits as team_limits')
}
