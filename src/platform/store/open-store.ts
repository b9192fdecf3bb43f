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
  /** Servers of other machines may use it, too. */
  readonly isShared: boolean
  /** What was asked before is still answered. */
  close(): Promise<void>
}

/** `file` null = in memory, gone with the process. */
export type StoreOptions = { readonly file: string | null } | { readonly postgres: PostgresPoolOptions }

/**
 * Throws store_failed with the place and the reason, and invalid_parameter for settings that cannot be. `onBroken`: the disk of an embedded
 * store failed, and it takes nothing any more until a restart; a PostgreSQL server that failed comes back by itself.
 */
export async function openStore(options: StoreOptions, onBroken: (cause: unknown) => void = () => {}): Promise<Store> {
  try {
    const isShared = 'postgres' in options
    const db = await openMigrated(isShared ? await openPostgres(options.postgres) : openEmbedded(options.file, onBroken))
    return { db, isShared, close: () => db.destroy() }
  } catch (error) {
    if (!(error instanceof InferdError) || error.code === 'invalid_parameter') throw error
    throw new InferdError('store_failed', `the store ${placeOf(options)} cannot be opened: ${reasonOf(error)}`, { cause: error })
  }
}

function openEmbedded(file: string | null, onBroken: (cause: unknown) => void): Dialect {
  return new StoreDialect(new StoreConnection({ file, busyTimeoutMs: BUSY_TIMEOUT_MS }, onBroken))
}

/** Its client is loaded only here. */
async function openPostgres(options: PostgresPoolOptions): Promise<Dialect> {
  const [{ PostgresPool }, { PostgresStoreDialect }] = await Promise.all([import('./postgres-pool.ts'), import('./postgres-dialect.ts')])
  return new PostgresStoreDialect(await PostgresPool.open(options))
}

function placeOf(options: StoreOptions): string {
  if (!('postgres' in options)) return options.file === null ? 'in memory' : `at ${options.file}`
  const { host, port, database } = options.postgres.address
  return `at ${host}:${port}, database ${database},`
}

function reasonOf({ cause, message }: InferdError): string {
  const reason = cause instanceof Error ? cause.message : cause
  return typeof reason === 'string' && reason !== '' ? reason : message
}

async function openMigrated(dialect: Dialect): Promise<Kysely<Schema>> {
  const db = new Kysely<Schema>({ dialect })
  try {
    await migrate(db, systemClock.wallMs())
  } catch (error) {
    await db.destroy()
    throw error
  }
  return db
}
