/** The operations on batches. Another team's batch does not exist. */
import { createHash } from 'node:crypto'
import type { BatchPlan } from '#contract/batch'
import type { JobOrder } from '#contract/job'
import { cancelBatch, listBatches, needBatch, submitBatch } from '#server/batch-jobs'
import { Fields, invalid, unsupported } from '#server/fields'
import type { Incoming, ProtocolRoute, ServiceContext, WireReply } from '#server/operation'
import { jsonReply } from '#server/wire-reply'
import { readMetadata } from '../call-options.ts'
import { COMPLETION_WINDOW, encodeBatch } from './encode-batch.ts'

const WINDOW_MS = 86_400_000
const ENDPOINTS: readonly string[] = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/responses']
/** OpenAI's others belong to features that are not offered. */
const OTHER_ENDPOINTS: readonly string[] = ['/v1/moderations', '/v1/images/generations', '/v1/images/edits', '/v1/videos']
const MIN_EXPIRY_S = 3600
const MAX_EXPIRY_S = 2_592_000
const DEFAULT_LISTED = 20
const MAX_LISTED = 100
const MAX_KEY_LENGTH = 256

export const batchRoutes: readonly ProtocolRoute[] = [
  { kind: 'service', method: 'POST', path: '/v1/batches', handle: create },
  { kind: 'service', method: 'GET', path: '/v1/batches', handle: list },
  { kind: 'service', method: 'GET', path: '/v1/batches/:batch_id', handle: get },
  { kind: 'service', method: 'POST', path: '/v1/batches/:batch_id/cancel', bodyKind: 'none', handle: cancel },
]

/** Accepted as soon as the file is there: what is in it is told by the batch itself. */
async function create({ body, bytes, headers }: Incoming, context: ServiceContext): Promise<WireReply> {
  const fields = new Fields(body)
  fields.check({ input_file_id: 'read', endpoint: 'read', completion_window: 'read', metadata: 'read', output_expires_after: 'read' })
  const fileId = fields.requiredText('input_file_id', { minLength: 1, maxLength: 512 })
  const endpoint = readEndpoint(fields)
  if (fields.requiredText('completion_window') !== COMPLETION_WINDOW) {
    throw invalid('completion_window', `completion_window must be ${COMPLETION_WINDOW}`)
  }
  const plan: BatchPlan = {
    dialect: 'openai',
    endpoint,
    input: { kind: 'file', fileId },
    output: { kind: 'files', expiresAfterS: readExpiry(fields) },
    numRecords: null,
    terms: { metadata: fields.value('metadata') === undefined ? null : readMetadata(fields) },
  }
  await checkFile(fileId, context)
  const idempotency = readKey(headers['idempotency-key'], bytes)
  return jsonReply(encodeBatch(await submitBatch(context, plan, { id: context.newId('batch_'), windowMs: WINDOW_MS, idempotency })))
}

/** The newest first. */
async function list({ query }: Incoming, context: ServiceContext): Promise<WireReply> {
  const limit = readLimit(query.get('limit'))
  const found = await listBatches(context, 'openai', { afterId: query.get('after'), limit: limit + 1 })
  const data = found.slice(0, limit).map(encodeBatch)
  const ends = { first_id: found[0]?.id ?? null, last_id: found.slice(0, limit).at(-1)?.id ?? null }
  return jsonReply({ object: 'list', data, ...ends, has_more: found.length > limit })
}

async function get({ params }: Incoming, context: ServiceContext): Promise<WireReply> {
  return jsonReply(encodeBatch(await needBatch(context, 'openai', params['batch_id'] ?? '')))
}

async function cancel({ params }: Incoming, context: ServiceContext): Promise<WireReply> {
  return jsonReply(encodeBatch(await cancelBatch(context, 'openai', params['batch_id'] ?? '')))
}

function readEndpoint(fields: Fields): string {
  const endpoint = fields.requiredText('endpoint')
  if (OTHER_ENDPOINTS.includes(endpoint)) throw unsupported('endpoint', 'endpoint with this value is not supported by this server')
  if (!ENDPOINTS.includes(endpoint)) throw invalid('endpoint', `endpoint must be one of ${ENDPOINTS.join(', ')}`)
  return endpoint
}

/** Seconds; null = the output is kept until it is deleted. */
function readExpiry(fields: Fields): number | null {
  const expiry = fields.nestedFields('output_expires_after')
  if (expiry === null) return null
  expiry.check({ anchor: 'read', seconds: 'read' })
  if (expiry.requiredText('anchor') !== 'created_at') throw invalid(expiry.pathOf('anchor'), `${expiry.pathOf('anchor')} must be created_at`)
  const seconds = expiry.integer('seconds', { min: MIN_EXPIRY_S, max: MAX_EXPIRY_S })
  if (seconds === null) throw expiry.missing('seconds')
  return seconds
}

async function checkFile(fileId: string, { services: { files }, principal }: ServiceContext): Promise<void> {
  if (files === null) throw unsupported('input_file_id', 'this server keeps no files')
  const file = await files.get(principal.team, fileId)
  if (file === null) throw invalid('input_file_id', 'input_file_id: there is no such file')
  if (file.purpose !== 'batch') throw invalid('input_file_id', "input_file_id must be a file whose purpose is 'batch'")
}

/** Sent by clients that try again. */
function readKey(key: string | undefined, bytes: Uint8Array): JobOrder['idempotency'] {
  if (key === undefined) return null
  if (key === '' || key.length > MAX_KEY_LENGTH) throw invalid('idempotency-key', `idempotency-key must have 1 to ${MAX_KEY_LENGTH} characters`)
  return { key: `openai:${key}`, digest: createHash('sha256').update(bytes).digest('hex') }
}

function readLimit(text: string | null): number {
  if (text === null) return DEFAULT_LISTED
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > MAX_LISTED) throw invalid('limit', `limit must be an integer from 1 to ${MAX_LISTED}`)
  return value
}
