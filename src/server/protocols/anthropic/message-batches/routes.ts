/** The operations on message batches. Another team's batch does not exist. */
import { type BatchPlan, planOf, resultOf } from '#contract/batch'
import { InferdError } from '#contract/errors'
import type { Job } from '#contract/job'
import type { FileShelf } from '#contract/stored-file'
import { cancelBatch, listBatches, needBatch, needJobs, submitBatch } from '#server/batch-jobs'
import { invalid, unsupported } from '#server/fields'
import type { Incoming, ProtocolRoute, ServiceContext, WireReply } from '#server/operation'
import { jsonReply } from '#server/wire-reply'
import { encodeMessageBatch } from './encode-batch.ts'
import { MESSAGES_PATH } from './lines.ts'
import { receiveRequests } from './receive-requests.ts'

const WINDOW_MS = 86_400_000
/** From the end of the batch. */
const RESULTS_KEPT_S = 29 * 86_400
const DEFAULT_LISTED = 20
const MAX_LISTED = 1000
/** `before_id` is looked for among so many. */
const MAX_WALKED = 10_000
const PATH = '/v1/messages/batches'
const ONE = `${PATH}/:batch_id`

export const messageBatchRoutes: readonly ProtocolRoute[] = [
  { kind: 'service', method: 'POST', path: PATH, bodyKind: 'stream', handle: create },
  { kind: 'service', method: 'GET', path: PATH, handle: list },
  { kind: 'service', method: 'GET', path: ONE, handle: get },
  { kind: 'service', method: 'POST', path: `${ONE}/cancel`, bodyKind: 'none', handle: cancel },
  { kind: 'service', method: 'GET', path: `${ONE}/results`, handle: results },
  { kind: 'service', method: 'DELETE', path: ONE, handle: remove },
]

/** Accepted when every request is on the disk and has an id of its own. */
async function create(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const { stream, headers } = incoming
  if (!/^application\/json\b/i.test(headers['content-type'] ?? ''))
    throw new InferdError('unsupported_media_type', 'content-type must be application/json')
  needJobs(context)
  const files = shelfOf(context)
  const id = context.newId('msgbatch_')
  const { team } = context.principal
  const { fileId, numRequests } = await receiveRequests({ chunks: stream ?? noChunks(), files, team, id, signal: context.signal })
  const plan: BatchPlan = {
    dialect: 'anthropic',
    endpoint: MESSAGES_PATH,
    input: { kind: 'file', fileId },
    output: { kind: 'files', expiresAfterS: RESULTS_KEPT_S },
    numRecords: numRequests,
    terms: {},
  }
  try {
    return reply(context, encode(await submitBatch(context, plan, { id, windowMs: WINDOW_MS, idempotency: null }), incoming))
  } catch (error) {
    await files.delete(team, fileId)
    throw error
  }
}

async function* noChunks(): AsyncGenerator<Uint8Array> {}

/** The newest first; `after_id` goes on to older ones, `before_id` gives the page before. */
async function list(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const { query } = incoming
  const limit = readLimit(query.get('limit'))
  const afterId = query.get('after_id')
  const beforeId = query.get('before_id')
  if (afterId !== null && beforeId !== null) throw invalid('after_id', 'after_id and before_id must not be set together')
  const found =
    beforeId === null ? await listBatches(context, 'anthropic', { afterId, limit: limit + 1 }) : await newerThan(context, beforeId, limit + 1)
  const page = beforeId === null ? found.slice(0, limit) : found.slice(-limit)
  const data = page.map((job) => encode(job, incoming))
  return reply(context, { data, has_more: found.length > limit, first_id: page[0]?.id ?? null, last_id: page.at(-1)?.id ?? null })
}

/** The nearest `limit` of them, the newest first. */
async function newerThan(context: ServiceContext, beforeId: string, limit: number): Promise<readonly Job[]> {
  await needBatch(context, 'anthropic', beforeId)
  let newer: Job[] = []
  for (let numWalked = 0, afterId: string | null = null; numWalked < MAX_WALKED; numWalked += MAX_LISTED) {
    const page = await listBatches(context, 'anthropic', { afterId, limit: MAX_LISTED })
    const end = page.findIndex(({ id }) => id === beforeId)
    newer = [...newer, ...(end < 0 ? page : page.slice(0, end))].slice(-limit)
    if (end >= 0 || page.length < MAX_LISTED) break
    afterId = page.at(-1)?.id ?? null
  }
  return newer
}

async function get(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  return reply(context, encode(await needBatch(context, 'anthropic', idOf(incoming)), incoming))
}

async function cancel(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  return reply(context, encode(await cancelBatch(context, 'anthropic', idOf(incoming)), incoming))
}

/** JSON lines, in the order of the requests. */
async function results(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const job = await needBatch(context, 'anthropic', idOf(incoming))
  if (job.endedMs === null) throw invalid('message_batch_id', 'the batch has not ended: its results are not there yet')
  const files = shelfOf(context)
  const file = await files.get(job.team, resultOf(job)?.outputFileId ?? '')
  if (file === null) throw new InferdError('resource_not_found', 'the results of this batch do not exist any more')
  const headers = { 'content-type': 'application/x-jsonl', 'content-length': String(file.numBytes), 'request-id': context.requestId }
  return { status: 200, headers, body: files.read(file) }
}

/** With its requests and results. Throws conflict while it has not ended. */
async function remove(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const job = await needBatch(context, 'anthropic', idOf(incoming))
  await needJobs(context).remove(job.team, job.id)
  const { input } = planOf(job)
  const kept = [input.kind === 'file' ? input.fileId : null, resultOf(job)?.outputFileId ?? null]
  for (const fileId of kept) if (fileId !== null) await shelfOf(context).delete(job.team, fileId)
  return reply(context, { id: job.id, type: 'message_batch_deleted' })
}

function reply({ requestId }: ServiceContext, body: object): WireReply {
  return jsonReply(body, 200, { 'request-id': requestId })
}

function encode(job: Job, { headers }: Incoming): ReturnType<typeof encodeMessageBatch> {
  const scheme = headers['x-forwarded-proto'] === 'https' ? 'https' : 'http'
  return encodeMessageBatch(job, headers['host'] === undefined ? '' : `${scheme}://${headers['host']}`)
}

function idOf({ params }: Incoming): string {
  return params['batch_id'] ?? ''
}

function shelfOf({ services: { files } }: ServiceContext): FileShelf {
  if (files === null) throw unsupported('requests', 'this server keeps no files')
  return files
}

function readLimit(text: string | null): number {
  if (text === null) return DEFAULT_LISTED
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > MAX_LISTED) throw invalid('limit', `limit must be an integer from 1 to ${MAX_LISTED}`)
  return value
}
