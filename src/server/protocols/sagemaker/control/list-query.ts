/** Which transform jobs a list shows, in which order, and from where on. */
import type { Job, JobQuery } from '#contract/job'
import { transformOf } from '#contract/transform'
import { Fields, invalid } from '#server/fields'
import type { JsonObject } from '#server/operation'
import { lastModifiedMs, statusOf } from './transform-view.ts'

type SortKey = 'Name' | 'CreationTime' | 'Status'

interface ListQuery {
  readonly matches: (job: Job) => boolean
  readonly sortBy: SortKey
  readonly isAscending: boolean
  /** The list goes on behind this job; null = from its beginning. */
  readonly afterId: string | null
  readonly maxResults: number
}

const DEFAULT_RESULTS = 10
const ANY_TIME = { min: -Number.MAX_VALUE, max: Number.MAX_VALUE }
const JOBS_PER_PAGE = 200
/** The newest of a team's; a list looks no further back. */
const MAX_JOBS = 10_000

/** The members were checked. Throws invalid_parameter for a token that is none. */
export function readListQuery(body: JsonObject): ListQuery {
  const fields = new Fields(body)
  const time = (name: string, whenAbsent: number): number => {
    const seconds = fields.number(name, ANY_TIME)
    return seconds === null ? whenAbsent : seconds * 1000
  }
  const created = { after: time('CreationTimeAfter', -Infinity), before: time('CreationTimeBefore', Infinity) }
  const modified = { after: time('LastModifiedTimeAfter', -Infinity), before: time('LastModifiedTimeBefore', Infinity) }
  const name = fields.text('NameContains')?.toLowerCase() ?? ''
  const status = fields.text('StatusEquals')
  const token = fields.text('NextToken')
  return {
    matches: (job) =>
      job.createdMs > created.after &&
      job.createdMs < created.before &&
      lastModifiedMs(job) > modified.after &&
      lastModifiedMs(job) < modified.before &&
      transformOf(job).name.toLowerCase().includes(name) &&
      (status === null || statusOf(job) === status),
    sortBy: fields.word('SortBy', ['Name', 'CreationTime', 'Status']) ?? 'CreationTime',
    isAscending: fields.text('SortOrder') === 'Ascending',
    afterId: token === null ? null : Buffer.from(token, 'base64url').toString('utf8'),
    maxResults: fields.integer('MaxResults', { min: 1, max: 100 }) ?? DEFAULT_RESULTS,
  }
}

export interface ListedPage {
  readonly jobs: readonly Job[]
  /** null = there are no more. */
  readonly nextToken: string | null
}

/** `list` gives the newest first. */
export async function pageOf(query: ListQuery, list: (page: Pick<JobQuery, 'afterId' | 'limit'>) => Promise<readonly Job[]>): Promise<ListedPage> {
  const found = (await newest(list)).filter((job) => query.matches(job)).toSorted((left, right) => compare(left, right, query.sortBy))
  const ordered = query.isAscending ? found : found.toReversed()
  const start = query.afterId === null ? 0 : ordered.findIndex(({ id }) => id === query.afterId) + 1
  if (query.afterId !== null && start === 0) throw invalid('NextToken', 'NextToken is not of this list')
  const jobs = ordered.slice(start, start + query.maxResults)
  const last = jobs.at(-1)
  const hasMore = last !== undefined && start + jobs.length < ordered.length
  return { jobs, nextToken: hasMore ? Buffer.from(last.id).toString('base64url') : null }
}

async function newest(list: Parameters<typeof pageOf>[1]): Promise<readonly Job[]> {
  const found: Job[] = []
  for (let afterId: string | null = null; found.length < MAX_JOBS;) {
    const page = await list({ afterId, limit: JOBS_PER_PAGE })
    found.push(...page)
    const last = page.at(-1)
    if (last === undefined || page.length < JOBS_PER_PAGE) break
    afterId = last.id
  }
  return found
}

/** Of equal ones the older comes first. */
function compare(left: Job, right: Job, sortBy: SortKey): number {
  const order =
    sortBy === 'CreationTime'
      ? 0
      : sortBy === 'Name'
        ? inOrder(transformOf(left).name, transformOf(right).name)
        : inOrder(statusOf(left), statusOf(right))
  return order || left.createdMs - right.createdMs || inOrder(left.id, right.id)
}

function inOrder(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
