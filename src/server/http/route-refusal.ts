/** Requests that no route answers, and what the framework itself refuses, as records of our own errors. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type ErrorRecord, InferdError, toErrorRecord } from '#contract/errors'
import type { ServerLog } from './server-options.ts'

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

/** What is not ours is logged and told as `internal`. */
export function recordOf(error: unknown, request: FastifyRequest, log: ServerLog): ErrorRecord {
  // The framework's own refusals: a media type or a method that it cannot make sense of.
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : null
  if (status === 415) return record('unsupported_media_type', 'content-type must be application/json (UTF-8)')
  if (status === 400) return record('malformed_request', 'the request is not valid')
  if (!(error instanceof InferdError)) log.error({ requestId: request.id, err: error }, 'unexpected error')
  return toErrorRecord(error)
}

/** A known path with another method is 405 with `allow`; anything else is 404. */
export function routeRefusal(app: FastifyInstance, request: FastifyRequest, reply: FastifyReply): ErrorRecord {
  const allowed = METHODS.filter((method) => app.findRoute({ method, url: pathOf(request.url) }) !== null)
  if (allowed.length === 0) return routeNotFound(request)
  void reply.header('allow', allowed.join(', '))
  return record('method_not_allowed', `${request.method} is not allowed here; use ${allowed.join(' or ')}`)
}

export function routeNotFound(request: FastifyRequest): ErrorRecord {
  return record('route_not_found', `no such route: ${request.method} ${pathOf(request.url).slice(0, 128)}`)
}

/** Without query and fragment. */
export function pathOf(url: string): string {
  const end = url.search(/[?#]/)
  return end === -1 ? url : url.slice(0, end)
}

function record(code: ErrorRecord['code'], message: string): ErrorRecord {
  return { code, message, param: null, retryAfterMs: null }
}
