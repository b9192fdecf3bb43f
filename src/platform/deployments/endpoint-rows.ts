/** Endpoints in the store: documents that are changed only as they were seen. */
import type { Store } from '#platform/store/open-store'
import { deleteResource, type ResourceRow, selectResource, selectResources, updateResource } from '#platform/store/resource-rows'
import type { EndpointDocument } from './endpoint-document.ts'

export interface EndpointRow {
  readonly name: string
  readonly document: EndpointDocument
  readonly revision: number
  readonly createdMs: number
  readonly modifiedMs: number
}

export class EndpointRows {
  private readonly db: Store['db']

  constructor({ db }: Store) {
    this.db = db
  }

  async all(): Promise<readonly EndpointRow[]> {
    return (await selectResources(this.db, 'endpoint')).map(rowOf)
  }

  async find(name: string): Promise<EndpointRow | null> {
    const row = await selectResource(this.db, 'endpoint', name)
    return row === null ? null : rowOf(row)
  }

  /** null = somebody was faster. */
  async change({ name, revision }: EndpointRow, document: EndpointDocument, nowMs: number): Promise<EndpointRow | null> {
    const row = await updateResource(this.db, { kind: 'endpoint', name, revision }, JSON.stringify(document), nowMs)
    return row === null ? null : rowOf(row)
  }

  async remove(name: string): Promise<void> {
    await deleteResource(this.db, 'endpoint', name)
  }
}

export function rowOf({ name, document, revision, created_ms: createdMs, modified_ms: modifiedMs }: ResourceRow): EndpointRow {
  return { name, document: JSON.parse(document) as EndpointDocument, revision, createdMs: Number(createdMs), modifiedMs: Number(modifiedMs) }
}
