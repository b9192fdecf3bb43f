/** The list of models and one of them, as Anthropic's Models API has them. */
import type { Incoming, ModelCard } from '#server/operation'
import { invalid } from '#server/fields'

const DEFAULT_LIMIT = 20
const MAX_LIMIT = 1000

export interface WireModel {
  readonly id: string
  readonly type: 'model'
  readonly display_name: string
  readonly created_at: string
  readonly lifecycle: 'active'
  /** What a card does not know. */
  readonly capabilities: null
  readonly deprecated_at: null
  readonly line: null
  readonly max_input_tokens: null
  readonly max_tokens: null
  readonly retires_at: null
}

export interface WireModelPage {
  readonly data: readonly WireModel[]
  readonly has_more: boolean
  readonly first_id: string | null
  readonly last_id: string | null
}

export function encodeModel({ name, createdSeconds }: ModelCard): WireModel {
  return {
    id: name,
    type: 'model',
    display_name: name,
    created_at: new Date(createdSeconds * 1000).toISOString(),
    lifecycle: 'active',
    capabilities: null,
    deprecated_at: null,
    line: null,
    max_input_tokens: null,
    max_tokens: null,
    retires_at: null,
  }
}

/** `after_id` and `before_id` name a model of the page before or behind; an unknown one gives an empty page. */
export function encodeModelPage(cards: readonly ModelCard[], { query }: Incoming): WireModelPage {
  const limit = readLimit(query.get('limit'))
  const after = query.get('after_id')
  const before = query.get('before_id')
  if (after !== null && before !== null) throw invalid('after_id', 'after_id and before_id must not be set together')
  const indexOf = (id: string): number => cards.findIndex(({ name }) => name === id)
  const end = before === null ? cards.length : Math.max(0, indexOf(before))
  const start = after === null ? (before === null ? 0 : Math.max(0, end - limit)) : indexOf(after) < 0 ? cards.length : indexOf(after) + 1
  const data = cards.slice(start, Math.min(end, start + limit)).map(encodeModel)
  const hasMore = before === null ? start + data.length < cards.length : start > 0
  return { data, has_more: hasMore, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null }
}

function readLimit(text: string | null): number {
  if (text === null) return DEFAULT_LIMIT
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (limit < 1 || limit > MAX_LIMIT) throw invalid('limit', `limit must be an integer from 1 to ${MAX_LIMIT}`)
  return limit
}
