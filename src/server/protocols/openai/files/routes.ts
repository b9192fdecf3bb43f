/** The operations on files. Another team's file does not exist. */
import { InferdError } from '#contract/errors'
import type { FileShelf, StoredFile } from '#contract/stored-file'
import { invalid } from '#server/fields'
import type { Incoming, ProtocolRoute, ServiceContext, WireReply } from '#server/operation'
import { jsonReply } from '#server/wire-reply'
import { receiveFile } from './receive-file.ts'

const MAX_LISTED = 10_000
const DEFAULT_LISTED = 1000

export const fileRoutes: readonly ProtocolRoute[] = [
  { kind: 'service', method: 'POST', path: '/v1/files', bodyKind: 'stream', handle: createFile },
  { kind: 'service', method: 'GET', path: '/v1/files', handle: listFiles },
  { kind: 'service', method: 'GET', path: '/v1/files/:file_id', handle: getFile },
  { kind: 'service', method: 'GET', path: '/v1/files/:file_id/content', handle: getContent },
  { kind: 'service', method: 'DELETE', path: '/v1/files/:file_id', handle: deleteFile },
]

async function createFile({ stream, headers }: Incoming, context: ServiceContext): Promise<WireReply> {
  const shelf = shelfOf(context)
  const { principal, signal } = context
  const chunks = stream ?? noChunks()
  return jsonReply(encodeFile(await receiveFile({ chunks, contentType: headers['content-type'], shelf, team: principal.team, signal })))
}

async function* noChunks(): AsyncGenerator<Uint8Array> {}

/** The newest first, unless asked otherwise. */
async function listFiles({ query }: Incoming, context: ServiceContext): Promise<WireReply> {
  const limit = readLimit(query.get('limit'))
  const order = query.get('order') ?? 'desc'
  if (order !== 'asc' && order !== 'desc') throw invalid('order', 'order must be asc or desc')
  const page = { team: context.principal.team, purpose: query.get('purpose'), afterId: query.get('after'), limit: limit + 1, order } as const
  const found = await shelfOf(context).list(page)
  const data = found.slice(0, limit).map(encodeFile)
  return jsonReply({ object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: found.length > limit })
}

async function getFile(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  return jsonReply(encodeFile(await needFile(incoming, context)))
}

async function getContent(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const file = await needFile(incoming, context)
  const headers = {
    'content-type': 'application/octet-stream',
    'content-length': String(file.numBytes),
    'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(file.filename.toWellFormed())}`,
    'x-content-type-options': 'nosniff',
  }
  return { status: 200, headers, body: shelfOf(context).read(file) }
}

async function deleteFile(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const file = await needFile(incoming, context)
  await shelfOf(context).delete(file.team, file.id)
  return jsonReply({ id: file.id, object: 'file', deleted: true })
}

function shelfOf({ services }: ServiceContext): FileShelf {
  if (services.files === null) throw new InferdError('unsupported_parameter', 'this server keeps no files')
  return services.files
}

async function needFile({ params }: Incoming, context: ServiceContext): Promise<StoredFile> {
  const file = await shelfOf(context).get(context.principal.team, params.file_id ?? '')
  if (file === null) throw new InferdError('resource_not_found', 'there is no such file', { param: 'file_id' })
  return file
}

function readLimit(text: string | null): number {
  if (text === null) return DEFAULT_LISTED
  const value = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > MAX_LISTED) throw invalid('limit', `limit must be an integer from 1 to ${MAX_LISTED}`)
  return value
}

interface WireFile {
  readonly id: string
  readonly object: 'file'
  readonly bytes: number
  readonly created_at: number
  readonly expires_at?: number
  readonly filename: string
  readonly purpose: string
  readonly status: 'processed'
}

function encodeFile({ id, numBytes, createdMs, expiresMs, filename, purpose }: StoredFile): WireFile {
  return {
    id,
    object: 'file',
    bytes: numBytes,
    created_at: Math.floor(createdMs / 1000),
    ...(expiresMs === null ? {} : { expires_at: Math.floor(expiresMs / 1000) }),
    filename,
    purpose,
    status: 'processed',
  }
}
