/** `GET /inferd/v1/usage`: the query in, the report out. */
import { formatDecimal } from '#base/decimal'
import type { Principal } from '#contract/principal'
import type { UsageFilter, UsageTotal } from '#contract/usage-record'
import { invalid } from '#server/fields'

const GROUPS = ['key', 'team', 'model', 'day'] as const
const KNOWN = ['group_by', 'from', 'to', 'key', 'team', 'model']
const COST_DIGITS = 12
const MAX_NAME_LENGTH = 256

export type UsageGroup = (typeof GROUPS)[number]

export interface UsageQuery {
  readonly filter: UsageFilter
  readonly groupBy: readonly UsageGroup[]
}

/** Whoever may not see all sees their own team. Throws invalid_parameter with the name of the parameter. */
export function readUsageQuery(query: URLSearchParams, { scopes, team: ownTeam }: Principal): UsageQuery {
  for (const name of query.keys()) {
    if (!KNOWN.includes(name)) throw invalid(name, `${name} is not known here; known are ${KNOWN.join(', ')}`)
    if (query.getAll(name).length > 1) throw invalid(name, `${name} must be given once`)
  }
  const team = nameOf(query, 'team')
  const seesAll = scopes.includes('admin')
  if (!seesAll && team !== null && team !== ownTeam) throw invalid('team', 'this key sees the usage of its own team only')
  const fromMs = timeOf(query, 'from')
  const toMs = timeOf(query, 'to')
  if (fromMs !== null && toMs !== null && fromMs >= toMs) throw invalid('to', 'to must be later than from')
  return {
    filter: { team: seesAll ? team : ownTeam, keyId: nameOf(query, 'key'), model: nameOf(query, 'model'), fromMs, toMs },
    groupBy: readGroups(query.get('group_by')),
  }
}

/** Costs are exact decimals as text: a JSON number would round them. */
export function encodeUsageReport(totals: readonly UsageTotal[], { filter, groupBy }: UsageQuery): object {
  return {
    object: 'usage_report',
    group_by: groupBy,
    from: timeText(filter.fromMs),
    to: timeText(filter.toMs),
    data: totals.map((total) => ({
      ...total.group,
      requests: total.numRequests,
      errors: total.numErrors,
      input_tokens: total.inputTokens,
      cached_tokens: total.cachedTokens,
      cache_write_tokens: total.cacheWriteTokens,
      output_tokens: total.outputTokens,
      reasoning_tokens: total.reasoningTokens,
      billed_ms: Math.round(total.billedMs),
      cost_usd: formatDecimal(total.cost, COST_DIGITS),
    })),
  }
}

function readGroups(value: string | null): readonly UsageGroup[] {
  if (value === null || value === '') return []
  const groups = value.split(',').map((word) => {
    const group = GROUPS.find((each) => each === word.trim())
    if (group === undefined) throw invalid('group_by', `group_by must be a list of ${GROUPS.join(', ')}`)
    return group
  })
  if (new Set(groups).size !== groups.length) throw invalid('group_by', 'group_by must name each group once')
  return groups
}

function nameOf(query: URLSearchParams, name: string): string | null {
  const value = query.get(name)
  if (value === null) return null
  if (value === '' || value.length > MAX_NAME_LENGTH) throw invalid(name, `${name} must have 1 to ${MAX_NAME_LENGTH} characters`)
  return value
}

/** A date (its first moment, UTC) or a moment with its zone. */
export function timeOf(query: URLSearchParams, name: string): number | null {
  const value = query.get(name)
  if (value === null) return null
  const isTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(value)
  const parsed = isTime ? Date.parse(value) : Number.NaN
  if (Number.isNaN(parsed)) throw invalid(name, `${name} must be a date (2026-12-01) or a time with its zone (2026-12-01T08:00:00Z)`)
  return parsed
}

function timeText(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
