/** A lock by name for transactions that read before they write. */
import { type Kysely, PostgresAdapter, sql } from 'kysely'
import type { Schema } from './schema.ts'

/**
 * From here to the end of the transaction no other one has the lock of that name; waits for it. In SQLite every transaction is alone from
 * its beginning (`begin immediate`), so there is nothing to take.
 */
export async function takeLock(step: Kysely<Schema>, name: string): Promise<void> {
  if (!(step.getExecutor().adapter instanceof PostgresAdapter)) return
  await sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`.execute(step)
}
