/** What was sold, in the store: documents that are changed only as they were seen. */
import type { ResourceRow, ResourceTable } from '#platform/store/resource-rows'
import type { ThroughputDocument, ThroughputRow } from './throughput-document.ts'

export class ThroughputRows {
  private readonly table: ResourceTable

  constructor(table: ResourceTable) {
    this.table = table
  }

  /** Oldest first. */
  async all(): Promise<readonly ThroughputRow[]> {
    return (await this.table.list('provisioned-throughput')).map(rowOf)
  }

  async insert(id: string, document: ThroughputDocument, nowMs: number): Promise<ThroughputRow> {
    return rowOf(await this.table.insert({ kind: 'provisioned-throughput', name: id, document: JSON.stringify(document) }, nowMs))
  }

  /** null = somebody was faster. */
  async change({ id, revision }: ThroughputRow, document: ThroughputDocument, nowMs: number): Promise<ThroughputRow | null> {
    const row = await this.table.change({ kind: 'provisioned-throughput', name: id, revision }, JSON.stringify(document), nowMs)
    return row === null ? null : rowOf(row)
  }
}

function rowOf({ name, document, revision, created_ms: createdMs, modified_ms: modifiedMs }: ResourceRow): ThroughputRow {
  return { id: name, document: JSON.parse(document) as ThroughputDocument, revision, createdMs: Number(createdMs), modifiedMs: Number(modifiedMs) }
}
