/** Kysely over sessions of PostgreSQL. */
import {
  CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type DataTypeNode,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryCompiler,
  type QueryResult,
} from 'kysely'
import { unreachable } from '#base/assert'
import { InferdError } from '#contract/errors'
import type { PostgresPool, PostgresSession } from './postgres-pool.ts'
import type { SqlValue } from './store-messages.ts'

export class PostgresStoreDialect implements Dialect {
  private readonly pool: PostgresPool

  constructor(pool: PostgresPool) {
    this.pool = pool
  }

  createDriver(): Driver {
    return new PostgresDriver(this.pool)
  }

  createQueryCompiler(): QueryCompiler {
    return new ByteOrderCompiler()
  }

  createAdapter(): DialectAdapter {
    return new PostgresAdapter()
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new PostgresIntrospector(db)
  }
}

/** Texts are in the order of their bytes, as in SQLite, whatever language the database was made for. */
class ByteOrderCompiler extends PostgresQueryCompiler {
  protected override visitDataType(node: DataTypeNode): void {
    super.visitDataType(node)
    if (node.dataType === 'text') this.append(' collate "C"')
  }
}

class PostgresDriver implements Driver {
  private readonly pool: PostgresPool

  constructor(pool: PostgresPool) {
    this.pool = pool
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<SessionConnection> {
    return new SessionConnection(await this.pool.acquire())
  }

  async releaseConnection(connection: SessionConnection): Promise<void> {
    connection.session.release()
  }

  async beginTransaction(connection: SessionConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin'))
  }

  /** Throws store_failed also when the server rolled back, because an error of a statement was passed over. */
  async commitTransaction({ session }: SessionConnection): Promise<void> {
    const { command } = await session.run('commit', [])
    if (command !== 'COMMIT') throw new InferdError('store_failed', 'the store rolled a transaction back')
  }

  async rollbackTransaction({ session }: SessionConnection): Promise<void> {
    await session.rollback()
  }

  async destroy(): Promise<void> {
    await this.pool.close()
  }
}

class SessionConnection implements DatabaseConnection {
  readonly session: PostgresSession

  constructor(session: PostgresSession) {
    this.session = session
  }

  async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
    const { rows, numChanges } = await this.session.run(sql, parameters as readonly SqlValue[])
    // The schema types the rows.
    return { rows: rows as unknown as Row[], numAffectedRows: BigInt(numChanges) }
  }

  streamQuery(): AsyncIterableIterator<never> {
    return unreachable('rows are read in pages, never streamed' as never)
  }
}
