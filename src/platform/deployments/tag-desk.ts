/** Tags in the store: a row for each thing that has some. */
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { Tag, TagDesk, TagOwner } from '#contract/tags'
import type { ResourceTable } from '#platform/store/resource-rows'

export interface TagDeskParts {
  readonly table: ResourceTable
  readonly clock: Clock
  /** Of jobs: nobody deletes them, so tags of the oldest go. */
  readonly maxJobs: number
}

const KIND = 'tags'
const MAX_TAGS = 50
const OF_JOBS = 'transform-job/'

export class StoredTags implements TagDesk {
  private readonly parts: TagDeskParts

  constructor(parts: TagDeskParts) {
    this.parts = parts
  }

  async list(owner: TagOwner): Promise<readonly Tag[]> {
    return tagsIn(await this.parts.table.find(KIND, owner))
  }

  put(owner: TagOwner, tags: readonly Tag[]): Promise<readonly Tag[]> {
    return this.change(owner, (known) => {
      const all = new Map([...known, ...tags].map(({ key, value }) => [key, value]))
      if (all.size > MAX_TAGS) throw new InferdError('invalid_parameter', `a resource has at most ${MAX_TAGS} tags`, { param: 'Tags' })
      return [...all].map(([key, value]) => ({ key, value }))
    })
  }

  async remove(owner: TagOwner, keys: readonly string[]): Promise<void> {
    await this.change(owner, (known) => known.filter(({ key }) => !keys.includes(key)))
  }

  private change(owner: TagOwner, make: (known: readonly Tag[]) => readonly Tag[]): Promise<readonly Tag[]> {
    const { table, clock } = this.parts
    return table.alone('deployments', async (step) => {
      const row = await step.find(KIND, owner)
      const tags = make(tagsIn(row))
      if (tags.length === 0) await step.remove(KIND, owner)
      else if (row !== null) await step.change(row, JSON.stringify(tags), clock.wallMs())
      else {
        if (owner.startsWith(OF_JOBS)) await this.makePlace(step)
        await step.insert({ kind: KIND, name: owner, document: JSON.stringify(tags) }, clock.wallMs())
      }
      return tags
    })
  }

  private async makePlace(step: ResourceTable): Promise<void> {
    const ofJobs = (await step.list(KIND)).filter(({ name }) => name.startsWith(OF_JOBS))
    for (const { name } of ofJobs.slice(0, Math.max(0, ofJobs.length + 1 - this.parts.maxJobs))) await step.remove(KIND, name)
  }
}

function tagsIn(row: { readonly document: string } | null): readonly Tag[] {
  return row === null ? [] : (JSON.parse(row.document) as readonly Tag[])
}
