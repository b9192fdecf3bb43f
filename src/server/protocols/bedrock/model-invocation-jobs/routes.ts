/** Model invocation jobs of Bedrock's control plane. */
import { createHash } from 'node:crypto'
import type { BatchPlan } from '#contract/batch'
import type { Job, JobOrder } from '#contract/job'
import { cancelBatch, listBatches, needBatch, needJobs, submitBatch } from '#server/batch-jobs'
import { invalid, unsupported } from '#server/fields'
import type { Incoming, ProtocolRoute, ServiceContext, WireReply } from '#server/operation'
import { jsonReply } from '#server/wire-reply'
import { MAX_PAGE, readPageSize, readTime, readTimeOrder, readToken } from '../list-page.ts'
import { encodeJob, JOB_STATUSES, jobArn, jobIdOf, type JobTerms, statusOf, termsOf } from './encode-job.ts'
import { findInputs, locateFor, readTerms } from './read-order.ts'

const HOUR_MS = 3_600_000
const ID_LENGTH = 12
/** A list is looked for among so many. */
const MAX_WALKED = 10_000

export const modelInvocationJobRoutes: readonly ProtocolRoute[] = [
  { kind: 'service', method: 'POST', path: '/model-invocation-job', handle: create },
  { kind: 'service', method: 'GET', path: '/model-invocation-jobs', handle: list },
  { kind: 'service', method: 'GET', path: '/model-invocation-job/:jobIdentifier', handle: get },
  { kind: 'service', method: 'POST', path: '/model-invocation-job/:jobIdentifier/stop', bodyKind: 'none', handle: stop },
]

/** Accepted when the objects are known; what is in them is told by the job. */
async function create({ body, bytes }: Incoming, context: ServiceContext): Promise<WireReply> {
  const terms = readTerms(body)
  const { principal, services, signal } = context
  const { objects } = services
  if (objects === null) throw unsupported('inputDataConfig', 'this server keeps no objects')
  needJobs(context)
  const found = await findInputs(terms.inputUri, { objects, team: principal.team, signal })
  locateFor(objects, principal.team, terms.outputUri)
  const id = jobId(context)
  const plan: BatchPlan = {
    dialect: 'bedrock',
    endpoint: `/model/${encodeURIComponent(terms.modelId)}/${terms.invocationType === 'Converse' ? 'converse' : 'invoke'}`,
    input: { kind: 'objects', objects: found },
    output: { kind: 'objects', uri: `${terms.outputUri.replace(/\/$/, '')}/${id}` },
    numRecords: null,
    terms: { ...terms },
  }
  const job = await submitBatch(context, plan, { id, windowMs: terms.timeoutHours * HOUR_MS, idempotency: idempotencyOf(terms, bytes) })
  return reply(context, { jobArn: jobArn(job.id) })
}

/** Small letters and digits, as those of Bedrock. */
function jobId({ newId }: ServiceContext): string {
  const digits = createHash('sha256').update(newId('job')).digest('hex')
  return BigInt(`0x${digits}`).toString(36).slice(0, ID_LENGTH)
}

async function get({ params }: Incoming, context: ServiceContext): Promise<WireReply> {
  return reply(context, encodeJob(await needBatch(context, 'bedrock', jobIdOf(params['jobIdentifier'] ?? ''))))
}

/** A job that has ended stays as it is. */
async function stop({ params }: Incoming, context: ServiceContext): Promise<WireReply> {
  await cancelBatch(context, 'bedrock', jobIdOf(params['jobIdentifier'] ?? ''))
  return reply(context, {})
}

/** A page begins where its token says. */
async function list({ query }: Incoming, context: ServiceContext): Promise<WireReply> {
  const isWanted = readFilters(query)
  const limit = readPageSize(query.get('maxResults'))
  const start = readToken(query.get('nextToken'))
  const order = readTimeOrder(query)
  const newestFirst = (await allJobs(context)).filter(isWanted)
  const jobs = order === 'Descending' ? newestFirst : newestFirst.toReversed()
  const end = start + limit
  return reply(context, {
    invocationJobSummaries: jobs.slice(start, end).map(encodeJob),
    ...(end < jobs.length ? { nextToken: String(end) } : {}),
  })
}

async function allJobs(context: ServiceContext): Promise<readonly Job[]> {
  const jobs: Job[] = []
  for (let afterId: string | null = null; jobs.length < MAX_WALKED;) {
    const page = await listBatches(context, 'bedrock', { afterId, limit: MAX_PAGE })
    jobs.push(...page)
    if (page.length < MAX_PAGE) break
    afterId = page.at(-1)?.id ?? null
  }
  return jobs
}

function readFilters(query: URLSearchParams): (job: Job) => boolean {
  const after = readTime(query, 'submitTimeAfter') ?? Number.NEGATIVE_INFINITY
  const before = readTime(query, 'submitTimeBefore') ?? Number.POSITIVE_INFINITY
  const status = query.get('statusEquals')
  if (status !== null && !JOB_STATUSES.some((word) => word === status)) {
    throw invalid('statusEquals', `statusEquals must be one of ${JOB_STATUSES.join(', ')}`)
  }
  const name = query.get('nameContains') ?? ''
  return (job) =>
    job.createdMs > after && job.createdMs < before && termsOf(job).jobName.includes(name) && (status === null || statusOf(job) === status)
}

function reply({ requestId }: ServiceContext, body: object): WireReply {
  return jsonReply(body, 200, { 'x-amzn-requestid': requestId })
}

/** The clients put a token into every request, and send it again when they try again. */
function idempotencyOf({ requestToken }: JobTerms, bytes: Uint8Array): JobOrder['idempotency'] {
  if (requestToken === null) return null
  return { key: `bedrock:${requestToken}`, digest: createHash('sha256').update(bytes).digest('hex') }
}
