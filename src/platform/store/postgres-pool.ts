/**
 * Sessions of a PostgreSQL server, lent to one user at a time. Every wait ends: for a session, for a connection, for a statement, for a
 * lock. A session that failed is given up, the next one is a new connection: when the server comes back, so does the store.
 */
import { readFileSync } from 'node:fs'
import type { Pool, PoolClient, PoolConfig } from 'pg'
import { assert } from '#base/assert'
import { systemClock } from '#base/clock'
import type { PostgresAddress } from '#config/store-address'
import { InferdError } from '#contract/errors'
import { failureOf, tooBusy } from './postgres-failure.ts'
import { POSTGRES_TYPES, toPostgres } from './postgres-values.ts'
import type { SqlValue } from './store-messages.ts'
import type { StatementResult } from './store-connection.ts'

export interface PostgresPoolOptions {
  readonly address: PostgresAddress
  /** Sessions at a time. */
  readonly maxSessions: number
  readonly deadlines?: PostgresDeadlines
}

export interface PostgresDeadlines {
  /** For a connection, and for one to be free. */
  readonly connectMs: number
  /** Kept by the server; ours stands `graceMs` behind, for a server that does not answer at all. */
  readonly statementMs: number
  readonly lockMs: number
  readonly graceMs: number
}

const DEFAULT_DEADLINES: PostgresDeadlines = { connectMs: 5000, statementMs: 30_000, lockMs: 5000, graceMs: 5000 }
const IDLE_SESSION_MS = 60_000
const KEEP_ALIVE_MS = 30_000
const CLOSE_TIMEOUT_MS = 5000
const MAX_WAITING = 16_384

/** Asked once of each connection: it sets what we rely on and reads back what the server's operator decided. */
function setUpText({ statementMs, lockMs }: PostgresDeadlines): string {
  return `select
    set_config('statement_timeout', '${statementMs}', false),
    set_config('lock_timeout', '${lockMs}', false),
    set_config('idle_in_transaction_session_timeout', '${statementMs}', false),
    set_config('default_transaction_isolation', 'read committed', false),
    set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false) as synchronous_commit,
    current_setting('fsync') as fsync,
    current_setting('server_encoding') as encoding,
    pg_is_in_recovery() as is_standby`
}

export class PostgresPool {
  private readonly pool: Pool
  private readonly maxSessions: number
  private readonly setUp: string
  private numConnected = 0
  private readonly ready = new WeakSet<PoolClient>()
  /** Who has a session or waits for one. */
  private numUsers = 0
  private onUnused: (() => void) | null = null
  private isClosed = false

  private constructor(pool: Pool, maxSessions: number, deadlines: PostgresDeadlines) {
    this.pool = pool
    this.maxSessions = maxSessions
    this.setUp = setUpText(deadlines)
    pool.on('connect', (client) => {
      this.numConnected++
      // Between two statements nobody listens; the next one fails by itself.
      client.on('error', () => {})
    })
    pool.on('remove', () => this.numConnected--)
    pool.on('error', () => {})
  }

  /** Connects to nothing yet. Throws invalid_parameter for a file of authorities that cannot be read. */
  static async open({ address, maxSessions, deadlines = DEFAULT_DEADLINES }: PostgresPoolOptions): Promise<PostgresPool> {
    const { Pool } = await import('pg')
    return new PostgresPool(new Pool(poolConfig(address, maxSessions, deadlines)), maxSessions, deadlines)
  }

  /** Throws store_failed when the server is away, overloaded when all sessions are busy for too long. */
  async acquire(): Promise<PostgresSession> {
    if (this.isClosed) throw new InferdError('store_failed', 'the store is closed')
    if (this.numUsers >= MAX_WAITING) throw tooBusy(null)
    this.numUsers++
    try {
      return new PostgresSession(await this.connect(), () => this.left())
    } catch (cause) {
      this.left()
      throw this.numConnected >= this.maxSessions ? tooBusy(cause) : failureOf(cause).error
    }
  }

  /** Whoever has a session or waits for one still gets it, for a bounded time. */
  async close(): Promise<void> {
    if (this.isClosed) return
    this.isClosed = true
    const over = new AbortController()
    const late = systemClock.sleep(CLOSE_TIMEOUT_MS, over.signal).catch(() => {})
    const unused = new Promise<void>((resolve) => {
      this.onUnused = resolve
      if (this.numUsers === 0) resolve()
    })
    await Promise.race([unused, late])
    await Promise.race([this.pool.end(), late])
    over.abort()
  }

  private async connect(): Promise<PoolClient> {
    const client = await this.pool.connect()
    if (this.ready.has(client)) return client
    try {
      checkServer((await client.query<ServerFacts>(this.setUp)).rows[0])
      this.ready.add(client)
      return client
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  private left(): void {
    this.numUsers--
    if (this.numUsers === 0) this.onUnused?.()
  }
}

export class PostgresSession {
  private readonly client: PoolClient
  private readonly onRelease: () => void
  private isBroken = false
  private isReleased = false

  constructor(client: PoolClient, onRelease: () => void) {
    this.client = client
    this.onRelease = onRelease
  }

  /** Throws store_failed or conflict. */
  async run(sql: string, parameters: readonly SqlValue[]): Promise<StatementResult & { readonly command: string }> {
    if (this.isBroken) throw new InferdError('store_failed', 'the store does not answer')
    try {
      const { rows, rowCount, command } = await this.client.query<Readonly<Record<string, SqlValue>>>(sql, parameters.map(toPostgres))
      return { rows: rows ?? [], numChanges: rowCount ?? 0, command }
    } catch (cause) {
      const { error, isBroken } = failureOf(cause)
      this.isBroken ||= isBroken
      throw error
    }
  }

  /** Never throws: a session that cannot roll back is given up, and its server rolls back. */
  async rollback(): Promise<void> {
    if (this.isBroken) return
    await this.run('rollback', []).catch(() => {
      this.isBroken = true
    })
  }

  release(): void {
    assert(!this.isReleased, 'a session is released twice')
    this.isReleased = true
    this.client.release(this.isBroken)
    this.onRelease()
  }
}

function poolConfig(address: PostgresAddress, maxSessions: number, { connectMs, statementMs, graceMs }: PostgresDeadlines): PoolConfig {
  const { host, port, user, database, tls, caFile, password } = address
  return {
    host,
    port,
    user,
    database,
    // Nothing comes from PGPASSWORD or ~/.pgpass.
    password: () => password() ?? '',
    ssl: tls === 'disable' ? false : { rejectUnauthorized: tls === 'verify-full', ...(caFile === null ? {} : { ca: readAuthorities(caFile) }) },
    application_name: 'inferd',
    max: maxSessions,
    connectionTimeoutMillis: connectMs,
    idleTimeoutMillis: IDLE_SESSION_MS,
    query_timeout: statementMs + graceMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    // An idle store does not keep the process.
    allowExitOnIdle: true,
    types: POSTGRES_TYPES,
  }
}

interface ServerFacts {
  readonly synchronous_commit: string
  readonly fsync: string
  readonly encoding: string
  readonly is_standby: number
}

function checkServer(facts: ServerFacts | undefined): void {
  const refuse = (reason: string): InferdError => new InferdError('store_failed', `the PostgreSQL server ${reason}`)
  if (facts?.fsync !== 'on') throw refuse('runs with fsync = off: it could lose what it has acknowledged')
  if (facts.synchronous_commit === 'off') throw refuse('acknowledges what it has not written: synchronous_commit stays off')
  if (facts.encoding !== 'UTF8') throw refuse(`keeps this database in ${facts.encoding}: make it with encoding 'UTF8'`)
  if (facts.is_standby !== 0) throw refuse('is a standby: name the primary one')
}

function readAuthorities(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new InferdError('invalid_parameter', `--store: cannot read sslrootcert ${file}`, { param: '--store', cause })
  }
}
