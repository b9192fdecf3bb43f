/** Ids of items hold that of their response, so that an item can be found by its id alone: `msg_..._0`, and `msg_..._in0` of the input. */

const PREFIX = 'resp_'
const ITEM_ID = /^(?:msg|fc|fco|rs)_(.+)_(in)?(0|[1-9]\d{0,5})$/

export type ItemKind = 'msg' | 'fc' | 'fco' | 'rs'

export function outputItemId(kind: ItemKind, responseId: string, index: number): string {
  return `${kind}_${suffixOf(responseId)}_${index}`
}

export function inputItemId(kind: ItemKind, responseId: string, index: number): string {
  return `${kind}_${suffixOf(responseId)}_in${index}`
}

export interface ItemPlace {
  readonly responseId: string
  readonly isInput: boolean
  readonly index: number
}

/** null = not one of ours. */
export function placeOfItem(itemId: string): ItemPlace | null {
  const [, suffix, isInput, index] = ITEM_ID.exec(itemId) ?? []
  return suffix === undefined ? null : { responseId: `${PREFIX}${suffix}`, isInput: isInput !== undefined, index: Number(index) }
}

function suffixOf(responseId: string): string {
  return responseId.slice(PREFIX.length)
}
