/** Opens the store and brings it to today's form. */
import { type Dialect, Kysely } from 'kysely'
import { systemClock } from '#base/clock'
import { InferdError } from '#contract/errors'
import { migrate } from './migrations.ts'
import type { PostgresPoolOptions } from './postgres-pool.ts'
import type { Schema } from './schema.ts'
import { StoreConnection } from './store-connection.ts'
import { StoreDialect } from './store-dialect.ts'

/** Another process may hold the write lock for so long. */
const BUSY_TIMEOUT_MS = 5000

export interface Store {
  readonly db: Kysely<Schema>
  /** What was asked before is still answered. */
  close(): Promise<void>
}

/** `file` null = in memory, gone with the process. */
export type StoreOptions = { readonly file: string | null } | { readonly postgres: PostgresPoolOptions }

/** Throws store_failed, and invalid_parameter for settings that cannot be. */
export async function openStore(options: StoreOptions): Promise<Store> {
  return 'postgres' in options ? openPostgres(options.postgres) : openMigrated(openEmbedded(options.file))
}

function openEmbedded(file: string | null): Dialect {
  return new StoreDialect(new StoreConnection({ file, busyTimeoutMs: BUSY_TIMEOUT_MS }))
}

/** Its client is loaded only here. */
async function openPostgres(options: PostgresPoolOptions): Promise<Store> {
  const [{ PostgresPool }, { PostgresStoreDialect }] = await Promise.all([import('./postgres-pool.ts'), import('./postgres-dialect.ts')])
  const { host, port, database } = options.address
  try {
    return await openMigrated(new PostgresStoreDialect(await PostgresPool.open(options)))
  } catch (error) {
    if (!(error instanceof InferdError) || error.code === 'invalid_parameter') throw error
    const reason = error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message
    throw new InferdError('store_failed', `the store at ${host}:${port}, database ${database}, cannot be opened: ${reason}`, { cause: error })
  }
}

async function openMigrated(dialect: Dialect): Promise<Store> {
  const db = new Kysely<Schema>({ dialect })
  try {
    await migrate(db, systemClock.wallMs())
  } catch (error) {
    await db.destroy()
    throw error
  }
  return { db, close: () => db.destroy() }
}
