/** Sends an error in a family's shape, also while the request's body is still arriving. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '#base/clock'
import type { ErrorRecord } from '#contract/errors'
import type { ProtocolFamily } from '#server/operation'
import { answerStream, cutAnswer, dropRest, hasBody, isHttp2 } from './answer-stream.ts'

export const JSON_MEDIA_TYPE = 'application/json; charset=utf-8'

export interface ErrorReplyArguments {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly family: ProtocolFamily
  readonly error: ErrorRecord
  readonly clock: Clock
  readonly lingerMs: number
}

export function sendError({ request, reply, family, error, clock, lingerMs }: ErrorReplyArguments): void {
  const { status, headers, body } = family.encodeError(error, request.id)
  const mediaType = headers['content-type'] ?? JSON_MEDIA_TYPE
  if (answerStream(reply.raw).destroyed) return
  if (request.raw.readableEnded || !hasBody(request.raw, reply.raw)) {
    void reply.code(status).headers(headers).type(mediaType).send(body)
    return
  }
  const collected = reply.getHeaders()
  reply.hijack()
  const { raw } = reply
  for (const [name, value] of Object.entries({ ...collected, ...headers })) {
    if (value !== undefined) raw.setHeader(name, value)
  }
  const head = { 'content-type': mediaType, 'content-length': Buffer.byteLength(body) }
  raw.writeHead(status, isHttp2(raw) ? head : { ...head, connection: 'close' })
  if (isHttp2(raw)) raw.end(body)
  else raw.write(body)
  lingerThenEnd(request, reply, { clock, lingerMs }).catch(() => cutAnswer(raw))
}

/** The answer is complete on the wire; closing at once would reset the connection before a client that still sends can read it. */
async function lingerThenEnd(
  request: FastifyRequest,
  reply: FastifyReply,
  { clock, lingerMs }: { readonly clock: Clock; readonly lingerMs: number },
): Promise<void> {
  const settled = new AbortController()
  const received = new Promise<void>((resolve) => {
    request.raw.once('end', resolve).once('close', resolve)
  })
  request.raw.on('error', () => {}).resume()
  const timeout = clock.sleep(lingerMs, settled.signal).catch(() => {})
  await Promise.race([received, timeout])
  settled.abort()
  dropRest(reply.raw)
}
