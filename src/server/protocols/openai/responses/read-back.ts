/** The routes of kept responses: read, follow, delete, cancel, list what was sent. Another team's response does not exist. */
import { InferdError } from '#contract/errors'
import type { JsonRecord } from '#contract/generate'
import type { ResponseArchive, StoredResponse } from '#contract/stored-response'
import { invalid } from '#server/fields'
import type { Incoming, ServiceContext, WireReply } from '#server/operation'
import { SSE_REPLY_HEADERS } from '#server/sse'
import { jsonReply } from '#server/wire-reply'
import { withFailure } from './encode-response.ts'

const MAX_LISTED = 100
const DEFAULT_LISTED = 20

export async function getResponse(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const response = await needResponse(incoming, context)
  if (incoming.query.get('stream') !== 'true') return jsonReply(encodeStored(response))
  const after = readNumber(incoming, 'starting_after', { min: 0, max: Number.MAX_SAFE_INTEGER }) ?? -1
  const frames = context.services.background?.follow(keyOf(response), after, context.signal) ?? null
  if (frames === null) {
    throw invalid(
      'stream',
      'only a response that runs in the background and was asked for with stream can be followed, for a while after its end too',
    )
  }
  return { status: 200, headers: SSE_REPLY_HEADERS, body: frames }
}

export async function deleteResponse(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const response = await needResponse(incoming, context)
  await context.services.background?.cancel(keyOf(response))
  await archiveOf(context).delete(keyOf(response))
  return jsonReply({ id: response.id, object: 'response', deleted: true })
}

/** Of a response that has ended already nothing changes. */
export async function cancelResponse(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const response = await needResponse(incoming, context)
  if (!response.isBackground) throw invalid('response_id', 'only a response that runs in the background can be cancelled')
  if (response.status === 'queued' || response.status === 'in_progress') {
    const hasEnded = await context.services.background?.cancel(keyOf(response))
    if (hasEnded !== true) await archiveOf(context).settle(keyOf(response), { status: 'cancelled', error: null, answer: null })
  }
  return jsonReply(encodeStored(await needResponse(incoming, context)))
}

/** The newest first, unless asked otherwise. */
export async function listInputItems(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const { inputItems } = await needResponse(incoming, context)
  const limit = readNumber(incoming, 'limit', { min: 1, max: MAX_LISTED }) ?? DEFAULT_LISTED
  const order = incoming.query.get('order') ?? 'desc'
  if (order !== 'asc' && order !== 'desc') throw invalid('order', 'order must be asc or desc')
  const ordered = order === 'asc' ? inputItems : inputItems.toReversed()
  const after = incoming.query.get('after')
  const start = after === null ? 0 : ordered.findIndex(({ id }) => id === after) + 1
  if (after !== null && start === 0) throw invalid('after', 'after must be the id of an item of this response')
  const data = ordered.slice(start, start + limit)
  const hasMore = start + data.length < ordered.length
  return jsonReply({ object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: hasMore })
}

function archiveOf({ services }: ServiceContext): ResponseArchive {
  if (services.responses === null) throw new InferdError('resource_not_found', 'this server keeps no responses')
  return services.responses
}

async function needResponse({ params }: Incoming, context: ServiceContext): Promise<StoredResponse> {
  const response = await archiveOf(context).get({ team: context.principal.team, id: params.response_id ?? '' })
  if (response === null) throw new InferdError('resource_not_found', 'there is no such response', { param: 'response_id' })
  return response
}

function keyOf({ team, id }: StoredResponse): Pick<StoredResponse, 'team' | 'id'> {
  return { team, id }
}

function encodeStored({ status, error, body }: StoredResponse): JsonRecord {
  return error === null ? { ...body, status } : withFailure(body, error)
}

function readNumber({ query }: Incoming, name: string, { min, max }: { readonly min: number; readonly max: number }): number | null {
  const text = query.get(name)
  if (text === null) return null
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= min && value <= max)) throw invalid(name, `${name} must be an integer from ${min} to ${max}`)
  return value
}
