/** Which part of a list a request of Bedrock's control plane asks for: so many places, from a place on. */
import { invalid } from '#server/fields'

const DEFAULT_PAGE = 100
export const MAX_PAGE = 1000

export function readPageSize(text: string | null): number {
  if (text === null) return DEFAULT_PAGE
  const size = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (size < 1 || size > MAX_PAGE) throw invalid('maxResults', `maxResults must be an integer from 1 to ${MAX_PAGE}`)
  return size
}

/** A token is the place where the next page begins. */
export function readToken(text: string | null): number {
  if (text === null) return 0
  if (!/^\d{1,9}$/.test(text)) throw invalid('nextToken', 'nextToken is not one of this list')
  return Number(text)
}

/** Epoch milliseconds. */
export function readTime(query: URLSearchParams, name: string): number | null {
  const text = query.get(name)
  if (text === null) return null
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) throw invalid(name, `${name} must be a time of ISO 8601`)
  return ms
}

/** Of lists whose only order is the time of creation: newest first when nothing else is asked for. */
export function readTimeOrder(query: URLSearchParams): 'Ascending' | 'Descending' {
  if (!['CreationTime', null].includes(query.get('sortBy'))) throw invalid('sortBy', 'sortBy must be CreationTime')
  const order = query.get('sortOrder') ?? 'Descending'
  if (order !== 'Ascending' && order !== 'Descending') throw invalid('sortOrder', 'sortOrder must be Ascending or Descending')
  return order
}
