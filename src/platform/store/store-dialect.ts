/** Kysely over the store's thread. There is one connection: a transaction has it for itself, others wait for it in line. */
import {
  CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  type QueryCompiler,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { unreachable } from '#base/assert'
import type { StoreConnection } from './store-connection.ts'
import type { SqlValue } from './store-messages.ts'

export class StoreDialect implements Dialect {
  private readonly connection: StoreConnection

  constructor(connection: StoreConnection) {
    this.connection = connection
  }

  createDriver(): Driver {
    return new StoreDriver(this.connection)
  }

  createQueryCompiler(): QueryCompiler {
    return new SqliteQueryCompiler()
  }

  createAdapter(): DialectAdapter {
    return new SqliteAdapter()
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new SqliteIntrospector(db)
  }
}

class StoreDriver implements Driver {
  private readonly connection: StoreConnection
  private readonly only: ThreadConnection
  /** Resolves when the connection is free; each taker appends itself. */
  private free: Promise<void> = Promise.resolve()
  private release: (() => void) | null = null

  constructor(connection: StoreConnection) {
    this.connection = connection
    this.only = new ThreadConnection(connection)
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.free
    const { promise, resolve } = Promise.withResolvers<void>()
    this.free = promise
    await before
    this.release = resolve
    return this.only
  }

  async releaseConnection(): Promise<void> {
    this.release?.()
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin'))
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'))
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('rollback'))
  }

  async destroy(): Promise<void> {
    await this.connection.close()
  }
}

class ThreadConnection implements DatabaseConnection {
  private readonly connection: StoreConnection

  constructor(connection: StoreConnection) {
    this.connection = connection
  }

  async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
    const { rows, numChanges } = await this.connection.run(sql, parameters as readonly SqlValue[])
    // The schema types the rows; the thread gives them as SQLite has them.
    return { rows: rows as unknown as Row[], numAffectedRows: BigInt(numChanges) }
  }

  streamQuery(): AsyncIterableIterator<never> {
    return unreachable('rows are read in pages, never streamed' as never)
  }
}
