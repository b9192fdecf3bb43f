/** Opens the store and brings it to today's form. */
import { Kysely } from 'kysely'
import { systemClock } from '#base/clock'
import { migrate } from './migrations.ts'
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

export interface StoreOptions {
  /** null = in memory, gone with the process. */
  readonly file: string | null
}

/** Throws store_failed. */
export async function openStore({ file }: StoreOptions): Promise<Store> {
  const connection = new StoreConnection({ file, busyTimeoutMs: BUSY_TIMEOUT_MS })
  const db = new Kysely<Schema>({ dialect: new StoreDialect(connection) })
  try {
    await migrate(db, systemClock.wallMs())
  } catch (error) {
    await db.destroy()
    throw error
  }
  return { db, close: () => db.destroy() }
}
