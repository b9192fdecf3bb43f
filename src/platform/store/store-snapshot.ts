/** The rows of a store's file as they are at one moment, in a new file, while others write. */
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { InferdError } from '#contract/errors'

const OWNER_ONLY = 0o600
const BUSY_TIMEOUT_MS = 5000

/**
 * One read transaction of SQLite (VACUUM INTO): writers go on. `target` must not be there; it is not synced. Throws store_failed, also for a
 * store that is damaged.
 */
export function snapshotStore(file: string, target: string): void {
  read(file, (source) => {
    closeSync(openSync(target, 'wx', OWNER_ONLY))
    source.prepare('vacuum into ?').run(target)
  })
  read(target, (copy) => {
    const verdict = Object.values(copy.prepare('pragma integrity_check(1)').get() ?? {})[0]
    if (verdict !== 'ok') throw new InferdError('store_failed', `the store at ${file} is damaged: ${String(verdict)}`)
  })
}

/** Of the contents that rows of files name. Throws store_failed. */
export function fileHashesOf(file: string): ReadonlySet<string> {
  return read(file, (database) => {
    const hasFiles = database.prepare(`select 1 from sqlite_schema where type = 'table' and name = 'file'`).get() !== undefined
    const rows = hasFiles ? database.prepare('select distinct sha256 from file').all() : []
    return new Set(rows.map((row) => String(row['sha256'])))
  })
}

/** As if the files had been deleted before the snapshot. */
export function dropFilesFrom(snapshot: string, hashes: readonly string[]): void {
  const database = new DatabaseSync(snapshot)
  try {
    const statement = database.prepare('delete from file where sha256 = ?')
    for (const hash of hashes) statement.run(hash)
  } finally {
    database.close()
  }
}

function read<T>(file: string, use: (database: DatabaseSync) => T): T {
  let database: DatabaseSync | null = null
  try {
    database = new DatabaseSync(file, { readOnly: true, timeout: BUSY_TIMEOUT_MS })
    return use(database)
  } catch (cause) {
    if (cause instanceof InferdError) throw cause
    throw new InferdError('store_failed', `the store at ${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  } finally {
    database?.close()
  }
}
