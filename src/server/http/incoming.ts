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
  if (route.method === 'GET' || route.method === 'DELETE') return { ...head, body: {}, bytes: NO_BYTES }
  if (route.bodyKind === 'bytes') return { ...head, body: {}, bytes: await incomingBody.read() }
  checkJsonMediaType(request.raw)
  const bytes = await incomingBody.read()
  return { ...head, body: parseJsonObject(bytes), bytes }
}

function textHeaders(headers: FastifyRequest['headers']): Incoming['headers'] {
  const texts: Record<string, string | undefined> = Object.create(null)
  for (const [name, value] of Object.entries(headers)) texts[name] = Array.isArray(value) ? value.join(', ') : value
  return texts
}
