/** What is declared and changed as a whole: models, endpoints, scaling, provisioned throughput. A row is a document with a revision. */
import { sql, type Kysely } from 'kysely'
import { assert } from '#base/assert'
import { InferdError } from '#contract/errors'
import type { Schema } from './schema.ts'
import { takeLock } from './take-lock.ts'

export type ResourceKind =
  | 'model'
  | 'endpoint-config'
  | 'endpoint'
  | 'scalable-target'
  | 'scaling-policy'
  | 'scheduled-action'
  | 'scaling-state'
  | 'scaling-activity'
  | 'metric-alarm'
  | 'provisioned-throughput'
  | 'tags'

/** Their names begin with `endpoint/variant`, and they go with it. */
export const OF_TARGETS = ['scalable-target', 'scaling-policy', 'scheduled-action', 'scaling-state'] as const satisfies readonly ResourceKind[]

export interface ResourceRow {
  readonly kind: ResourceKind
  /** Of its kind, unique. */
  readonly name: string
  /** JSON. */
  readonly document: string
  /** Counts its changes; who changes it says which one he saw. */
  readonly revision: number
  readonly created_ms: number
  readonly modified_ms: number
}

export async function createResourceTable(db: Kysely<Schema>): Promise<void> {
  const bigint = sql`bigint`
  await db.schema
    .createTable('resource')
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('document', 'text', (column) => column.notNull())
    .addColumn('revision', 'integer', (column) => column.notNull())
    .addColumn('created_ms', bigint, (column) => column.notNull())
    .addColumn('modified_ms', bigint, (column) => column.notNull())
    .addPrimaryKeyConstraint('resource_key', ['kind', 'name'])
    .execute()
}

/** Whether what is written in this transaction may be. */
export type Fence = (step: Kysely<Schema>) => Promise<boolean>

/** Without a fence whoever has the table may write. */
export class ResourceTable {
  private readonly db: Kysely<Schema>
  private readonly fence: Fence | null

  constructor(db: Kysely<Schema>, fence: Fence | null = null) {
    this.db = db
    this.fence = fence
  }

  /**
   * What is read and written in it is not changed by another one with the same lock meanwhile; all of it is written, or nothing. Throws conflict
   * for who may not, before `make`.
   */
  alone<T>(lock: string, make: (table: ResourceTable) => Promise<T>): Promise<T> {
    return this.db.transaction().execute(async (step) => {
      await takeLock(step, lock)
      if (this.fence !== null && !(await this.fence(step))) throw fenced()
      return make(new ResourceTable(step))
    })
  }

  /** Throws conflict for a name that is taken. Under a fence only within `alone`. */
  async insert(row: Pick<ResourceRow, 'kind' | 'name' | 'document'>, nowMs: number): Promise<ResourceRow> {
    assert(this.fence === null, 'rows are inserted within a transaction of the fence')
    const whole: ResourceRow = { ...row, revision: 1, created_ms: nowMs, modified_ms: nowMs }
    await this.db.insertInto('resource').values(whole).execute()
    return whole
  }

  async find(kind: ResourceKind, name: string): Promise<ResourceRow | null> {
    return (await this.db.selectFrom('resource').selectAll().where('kind', '=', kind).where('name', '=', name).executeTakeFirst()) ?? null
  }

  /** Oldest first. */
  async list(kind: ResourceKind): Promise<readonly ResourceRow[]> {
    return this.db.selectFrom('resource').selectAll().where('kind', '=', kind).orderBy('created_ms').orderBy('name').execute()
  }

  /** The changed row; null = it has another revision by now, or is gone, or who asks may not. */
  async change(
    { kind, name, revision }: Pick<ResourceRow, 'kind' | 'name' | 'revision'>,
    document: string,
    nowMs: number,
  ): Promise<ResourceRow | null> {
    const { fence } = this
    if (fence !== null)
      return this.db
        .transaction()
        .execute(async (step) => ((await fence(step)) ? new ResourceTable(step).change({ kind, name, revision }, document, nowMs) : null))
    const changed = await this.db
      .updateTable('resource')
      .set({ document, revision: revision + 1, modified_ms: nowMs })
      .where('kind', '=', kind)
      .where('name', '=', name)
      .where('revision', '=', revision)
      .returningAll()
      .executeTakeFirst()
    return changed ?? null
  }

  /** False = there was none. Throws conflict for who may not. */
  async remove(kind: ResourceKind, name: string): Promise<boolean> {
    const { fence } = this
    if (fence !== null)
      return this.db.transaction().execute(async (step) => {
        if (!(await fence(step))) throw fenced()
        return new ResourceTable(step).remove(kind, name)
      })
    const gone = await this.db.deleteFrom('resource').where('kind', '=', kind).where('name', '=', name).returning('name').executeTakeFirst()
    return gone !== undefined
  }
}

function fenced(): InferdError {
  return new InferdError('conflict', 'another server of this store decides by now')
}
