/** The table of kept files; their bytes are elsewhere, named by their hash. */
import { sql, type Kysely } from 'kysely'
import type { Schema } from './schema.ts'
import { takeLock } from './take-lock.ts'

export interface FileRow {
  readonly id: string
  readonly team: string
  readonly filename: string
  readonly purpose: string
  readonly num_bytes: number
  readonly sha256: string
  readonly created_ms: number
  /** null = never. */
  readonly expires_ms: number | null
}

export interface FileRowQuery {
  readonly team: string
  readonly purpose: string | null
  readonly after: Pick<FileRow, 'created_ms' | 'id'> | null
  readonly limit: number
  readonly order: 'asc' | 'desc'
  readonly nowMs: number
}

export async function createFileTable(db: Kysely<Schema>): Promise<void> {
  await db.schema
    .createTable('file')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('team', 'text', (column) => column.notNull())
    .addColumn('filename', 'text', (column) => column.notNull())
    .addColumn('purpose', 'text', (column) => column.notNull())
    .addColumn('num_bytes', sql`bigint`, (column) => column.notNull())
    .addColumn('sha256', 'text', (column) => column.notNull())
    .addColumn('created_ms', sql`bigint`, (column) => column.notNull())
    .addColumn('expires_ms', sql`bigint`)
    .execute()
  await db.schema.createIndex('file_team').on('file').columns(['team', 'created_ms', 'id']).execute()
  await db.schema.createIndex('file_sha256').on('file').column('sha256').execute()
}

export async function insertFile(db: Kysely<Schema>, row: FileRow): Promise<void> {
  await db.insertInto('file').values(row).execute()
}

export async function selectFile(db: Kysely<Schema>, team: string, id: string): Promise<FileRow | null> {
  return (await db.selectFrom('file').selectAll().where('id', '=', id).where('team', '=', team).executeTakeFirst()) ?? null
}

export async function selectFiles(db: Kysely<Schema>, { team, purpose, after, limit, order, nowMs }: FileRowQuery): Promise<readonly FileRow[]> {
  let query = db
    .selectFrom('file')
    .selectAll()
    .where('team', '=', team)
    .where((e) => e.or([e('expires_ms', 'is', null), e('expires_ms', '>', nowMs)]))
  if (purpose !== null) query = query.where('purpose', '=', purpose)
  if (after !== null) {
    const side = order === 'asc' ? '>' : '<'
    query = query.where((e) =>
      e.or([e('created_ms', side, after.created_ms), e.and([e('created_ms', '=', after.created_ms), e('id', side, after.id)])]),
    )
  }
  return query.orderBy('created_ms', order).orderBy('id', order).limit(limit).execute()
}

export async function sumFiles(db: Kysely<Schema>, team: string): Promise<{ readonly numFiles: number; readonly numBytes: number }> {
  const row = await db
    .selectFrom('file')
    .select(({ fn }) => [fn.count<number>('id').as('numFiles'), fn.sum<number | null>('num_bytes').as('numBytes')])
    .where('team', '=', team)
    .executeTakeFirstOrThrow()
  return { numFiles: Number(row.numFiles), numBytes: Number(row.numBytes ?? 0) }
}

/** The hash whose bytes nobody names any more; null = there was no such file, or others share them. */
export async function deleteFile(
  db: Kysely<Schema>,
  team: string,
  id: string,
): Promise<{ readonly wasThere: boolean; readonly orphan: string | null }> {
  return db.transaction().execute(async (step) => {
    const row = await step.deleteFrom('file').where('id', '=', id).where('team', '=', team).returning('sha256').executeTakeFirst()
    if (row === undefined) return { wasThere: false, orphan: null }
    await takeLock(step, `file ${row.sha256}`)
    const other = await step.selectFrom('file').select('id').where('sha256', '=', row.sha256).limit(1).executeTakeFirst()
    return { wasThere: true, orphan: other === undefined ? row.sha256 : null }
  })
}

export async function selectFileHashes(db: Kysely<Schema>): Promise<readonly string[]> {
  return (await db.selectFrom('file').select('sha256').distinct().execute()).map(({ sha256 }) => sha256)
}

export async function selectExpiredFiles(db: Kysely<Schema>, nowMs: number, limit: number): Promise<readonly Pick<FileRow, 'team' | 'id'>[]> {
  return db.selectFrom('file').select(['team', 'id']).where('expires_ms', '<=', nowMs).limit(limit).execute()
}
