/** An item of a kept response by its id: what a later request refers to in place of sending it again. */
import { InferdError } from '#contract/errors'
import type { JsonRecord } from '#contract/generate'
import type { ResponseArchive } from '#contract/stored-response'
import { placeOfItem } from './item-ids.ts'

/** Throws resource_not_found with `path`. */
export async function itemOf(archive: ResponseArchive | null, team: string, itemId: string, path: string): Promise<JsonRecord> {
  const place = placeOfItem(itemId)
  const response = place === null || archive === null ? null : await archive.get({ team, id: place.responseId })
  const items = response === null ? [] : place?.isInput === true ? response.inputItems : response.body.output
  const item: unknown = Array.isArray(items) && place !== null ? items[place.index] : undefined
  if (item === undefined) throw new InferdError('resource_not_found', `${path}: there is no item with this id`, { param: path })
  return item as JsonRecord
}
