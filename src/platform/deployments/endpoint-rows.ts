/** Endpoints in the store: documents that are changed only as they were seen. */
import { OF_TARGETS, type ResourceRow, type ResourceTable } from '#platform/store/resource-rows'
import type { EndpointDocument } from './endpoint-document.ts'

export interface EndpointRow {
  readonly name: string
  readonly document: EndpointDocument
  readonly revision: number
  readonly createdMs: number
  readonly modifiedMs: number
}

export class EndpointRows {
  private readonly table: ResourceTable

  constructor(table: ResourceTable) {
    this.table = table
  }

  async all(): Promise<readonly EndpointRow[]> {
    return (await this.table.list('endpoint')).map(rowOf)
  }

  /** null = somebody was faster. */
  async change({ name, revision }: EndpointRow, document: EndpointDocument, nowMs: number): Promise<EndpointRow | null> {
    const row = await this.table.change({ kind: 'endpoint', name, revision }, JSON.stringify(document), nowMs)
    return row === null ? null : rowOf(row)
  }

  /** With its tags and all that scaled it: another one of the name begins without. */
  async remove(name: string): Promise<void> {
    await this.table.alone('scaling', async (step) => {
      for (const kind of OF_TARGETS) for (const row of await step.list(kind)) if (row.name.startsWith(`${name}/`)) await step.remove(kind, row.name)
      await step.remove('tags', `endpoint/${name}`)
      await step.remove('endpoint', name)
    })
  }
}

export function rowOf({ name, document, revision, created_ms: createdMs, modified_ms: modifiedMs }: ResourceRow): EndpointRow {
  return { name, document: JSON.parse(document) as EndpointDocument, revision, createdMs: Number(createdMs), modifiedMs: Number(modifiedMs) }
}
