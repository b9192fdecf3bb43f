/**
 * The thread that owns the SQLite file: statements arrive in order and are answered in order. WAL with synchronous FULL: what is
 * answered is on the disk. Settings are read back, because a binding may have changed a default.
 */
import { chmodSync, closeSync, openSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { assert } from '#base/assert'
import type { SqlValue, StoreAnswer, StoreQuery, StoreThreadData } from './store-messages.ts'

const MAX_STATEMENTS = 256
const SQLITE_BUSY = 5
const SQLITE_CONSTRAINT = 19
/** SQLITE_IOERR, CORRUPT, NOTADB: result codes of sqlite3.h. */
const BROKEN_CODES: readonly number[] = [10, 11, 26]
/** SQLITE_IOERR_SHMSIZE: no room for the index of the log, which is made anew by whoever opens the store. Nothing is lost. */
const NO_ROOM_FOR_INDEX = 4874
const FULL = 2
const PAUSE_MS = 20
const OWNER_ONLY = 0o600

const { file, busyTimeoutMs } = workerData as StoreThreadData
const port = parentPort
assert(port !== null, 'the store thread runs only as a thread')
if (file !== null) keepForOwner(file)
const database = new DatabaseSync(file ?? ':memory:', { timeout: busyTimeoutMs })
useWal()
database.exec('pragma synchronous = full; pragma foreign_keys = on')
assert(file === null || pragma('journal_mode') === 'wal', 'the store is not in WAL mode')
assert(pragma('synchronous') === FULL, 'the store does not sync')

/** In order of last use. */
const statements = new Map<string, StatementSync>()

port.on('message', (query: StoreQuery | 'close') => {
  if (query === 'close') {
    database.close()
    port.close()
    return
  }
  port.postMessage(answer(query))
})

function answer({ id, sql, parameters }: StoreQuery): StoreAnswer {
  // A full disk has rolled it back already: that is what is told, and not that there is nothing to roll back.
  if (sql === 'rollback' && !database.isTransaction) return { id, rows: [], numChanges: 0 }
  try {
    // A transaction that reads first must not find another writer when it writes.
    const statement = prepared(sql === 'begin' ? 'begin immediate' : sql)
    if (statement.columns().length > 0) {
      const rows = statement.all(...parameters) as Record<string, SqlValue>[]
      return { id, rows, numChanges: rows.length }
    }
    return { id, rows: [], numChanges: Number(statement.run(...parameters).changes) }
  } catch (error) {
    const code = resultCodeOf(error)
    const message = error instanceof Error ? error.message : String(error)
    return {
      id,
      error: message,
      isConflict: (code & 0xff) === SQLITE_CONSTRAINT,
      isBroken: BROKEN_CODES.includes(code & 0xff) && code !== NO_ROOM_FOR_INDEX,
    }
  }
}

/** Of sqlite3.h, with its extension above the lowest eight bits; 0 = not of SQLite. */
function resultCodeOf(error: unknown): number {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0
}

/** It holds secrets, conversations and bills. SQLite gives the files beside it the same mode. */
function keepForOwner(file: string): void {
  closeSync(openSync(file, 'a', OWNER_ONLY))
  for (const name of [file, `${file}-wal`, `${file}-shm`]) {
    try {
      chmodSync(name, OWNER_ONLY)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    }
  }
}

/** Two processes that make the file together: the change to WAL does not wait for the other's lock by itself. */
function useWal(): void {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let waitedMs = 0; ; waitedMs += PAUSE_MS) {
    try {
      database.exec('pragma journal_mode = wal')
      return
    } catch (error) {
      if (waitedMs >= busyTimeoutMs || (resultCodeOf(error) & 0xff) !== SQLITE_BUSY) throw error
      Atomics.wait(pause, 0, 0, PAUSE_MS)
    }
  }
}

function prepared(sql: string): StatementSync {
  const known = statements.get(sql)
  const statement = known ?? database.prepare(sql)
  statements.delete(sql)
  statements.set(sql, statement)
  if (statements.size > MAX_STATEMENTS) {
    const [oldest] = statements.keys()
    if (oldest !== undefined) statements.delete(oldest)
  }
  return statement
}

function pragma(name: string): unknown {
  return Object.values(database.prepare(`pragma ${name}`).get() ?? {})[0]
}
