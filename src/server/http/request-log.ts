/** One line for each request when its answer has closed, however it closed. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '#base/clock'
import { isComplete } from './answer-stream.ts'
import { PROBE_PATHS } from './probe-routes.ts'
import type { ServerLog } from './server-options.ts'

export function logWhenDone(request: FastifyRequest, reply: FastifyReply, { clock, log }: { readonly clock: Clock; readonly log: ServerLog }): void {
  const startMs = clock.nowMs()
  reply.raw.once('close', () => {
    const route = request.routeOptions?.url ?? 'unknown'
    // Probes come every few seconds and would bury what matters.
    if (reply.raw.statusCode === 200 && PROBE_PATHS.includes(route)) return
    const durationMs = Math.round(clock.nowMs() - startMs)
    log.info(
      {
        requestId: request.id,
        ...traceIdOf(request.headers['traceparent']),
        method: request.method,
        route,
        status: reply.raw.statusCode,
        durationMs,
        complete: isComplete(reply.raw),
      },
      'request',
    )
  })
}

/** W3C trace context: the line is found by the trace of its caller. */
function traceIdOf(traceparent: string | string[] | undefined): { readonly traceId?: string } {
  const [, traceId] = /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(String(traceparent)) ?? []
  return traceId === undefined ? {} : { traceId }
}
