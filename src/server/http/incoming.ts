/** A request in the form that protocol families read. */
import type { FastifyRequest } from 'fastify'
import type { Incoming, ProtocolRoute } from '#server/operation'
import { checkJsonMediaType } from './door.ts'
import type { IncomingBody } from './incoming-body.ts'
import { parseJsonObject } from './json-body.ts'

const NO_BYTES = new Uint8Array()

/** Reads the body if the route has one. Throws unsupported_media_type, malformed_body and what reading throws. */
export async function readIncoming(route: ProtocolRoute, request: FastifyRequest, incomingBody: IncomingBody): Promise<Incoming> {
  const { url, method } = request
  const queryStart = url.indexOf('?')
  const head = {
    method,
    path: queryStart < 0 ? url : url.slice(0, queryStart),
    params: request.params as Readonly<Record<string, string>>,
    query: new URLSearchParams(queryStart < 0 ? '' : url.slice(queryStart + 1)),
    headers: textHeaders(request.headers),
  }
  const empty = { ...head, body: {}, bytes: NO_BYTES, stream: null }
  if (route.method === 'GET' || route.method === 'DELETE' || route.bodyKind === 'none') return empty
  if (route.bodyKind === 'stream') return { ...empty, stream: incomingBody.stream() }
  if (route.bodyKind === 'bytes') return { ...empty, bytes: await incomingBody.read() }
  if (route.bodyKind !== 'blob-json' || !isBlob(request.headers['content-type'])) checkJsonMediaType(request.raw)
  const bytes = await incomingBody.read()
  return { ...empty, body: parseJsonObject(bytes), bytes }
}

/** A web page of another origin cannot send such a body without asking. */
function isBlob(contentType: string | undefined): boolean {
  return contentType === undefined || contentType.toLowerCase() === 'application/octet-stream'
}

function textHeaders(headers: FastifyRequest['headers']): Incoming['headers'] {
  const texts: Record<string, string | undefined> = Object.create(null)
  // Names with a colon are the request line of HTTP/2.
  for (const [name, value] of Object.entries(headers)) if (!name.startsWith(':')) texts[name] = Array.isArray(value) ? value.join(', ') : value
  return texts
}
