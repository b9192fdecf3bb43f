/** One page of things with names: which of them, in which order, and from where on. */
import { Fields, invalid } from '#server/fields'
import type { JsonObject } from '#server/operation'
import { checkMembers, type MemberRule, type MemberRules } from '#server/aws-json/member-rules'

export interface NamedThing {
  readonly name: string
  readonly createdMs: number
  readonly modifiedMs: number
  /** '' = has none. */
  readonly status: string
}

const TIME: MemberRule = { kind: 'time' }
const DEFAULT_RESULTS = 10
const ANY_TIME = { min: -Number.MAX_VALUE, max: Number.MAX_VALUE }

/** Of a list operation. `statuses`: none where things have no status. */
export function listMembers(statuses: readonly string[]): MemberRules {
  const sorts = statuses.length === 0 ? ['Name', 'CreationTime'] : ['Name', 'CreationTime', 'Status']
  return {
    CreationTimeAfter: TIME,
    CreationTimeBefore: TIME,
    NameContains: { kind: 'text', maxLength: 63, pattern: '[a-zA-Z0-9-]+' },
    SortBy: { kind: 'text', words: sorts },
    SortOrder: { kind: 'text', words: ['Ascending', 'Descending'] },
    NextToken: { kind: 'text', maxLength: 8192 },
    MaxResults: { kind: 'integer', min: 1, max: 100 },
    ...(statuses.length === 0 ? {} : { StatusEquals: { kind: 'text', words: statuses }, LastModifiedTimeAfter: TIME, LastModifiedTimeBefore: TIME }),
  }
}

/** The things of the page in its order. Throws as checkMembers, and invalid_parameter for a token of another list. */
export function pageOfNamed<T extends NamedThing>(
  things: readonly T[],
  body: JsonObject,
  rules: MemberRules,
): { readonly page: readonly T[]; readonly next: { readonly NextToken?: string } } {
  checkMembers(body, rules)
  const fields = new Fields(body)
  const time = (name: string, whenAbsent: number): number => {
    const at = fields.number(name, ANY_TIME)
    return at === null ? whenAbsent : at * 1000
  }
  const [after, before] = [time('CreationTimeAfter', -Infinity), time('CreationTimeBefore', Infinity)]
  const [changedAfter, changedBefore] = [time('LastModifiedTimeAfter', -Infinity), time('LastModifiedTimeBefore', Infinity)]
  const part = fields.text('NameContains')?.toLowerCase() ?? ''
  const status = fields.text('StatusEquals')
  const sortBy = fields.text('SortBy') ?? 'CreationTime'
  const found = things.filter(
    (thing) =>
      thing.createdMs > after &&
      thing.createdMs < before &&
      thing.modifiedMs > changedAfter &&
      thing.modifiedMs < changedBefore &&
      thing.name.toLowerCase().includes(part) &&
      (status === null || thing.status === status),
  )
  const ascending = found.toSorted((a, b) => inOrder(keyOf(a, sortBy), keyOf(b, sortBy)) || a.createdMs - b.createdMs || inOrder(a.name, b.name))
  const ordered = fields.text('SortOrder') === 'Ascending' ? ascending : ascending.toReversed()
  const token = fields.text('NextToken')
  const start = token === null ? 0 : ordered.findIndex(({ name }) => Buffer.from(name).toString('base64url') === token) + 1
  if (token !== null && start === 0) throw invalid('NextToken', 'NextToken is not of this list')
  const page = ordered.slice(start, start + (fields.integer('MaxResults', { min: 1, max: 100 }) ?? DEFAULT_RESULTS))
  const last = page.at(-1)
  const hasMore = last !== undefined && start + page.length < ordered.length
  return { page, next: hasMore ? { NextToken: Buffer.from(last.name).toString('base64url') } : {} }
}

function keyOf({ name, status }: NamedThing, sortBy: string): string {
  return sortBy === 'Name' ? name : sortBy === 'Status' ? status : ''
}

function inOrder(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
