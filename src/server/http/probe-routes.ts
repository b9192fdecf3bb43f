/** Routes for those who watch the process: answered without credentials, also while it drains. */
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Clock } from '#base/clock'
import type { ModelDirectory } from '#platform/registry/served-model'
import { JSON_MEDIA_TYPE } from './error-reply.ts'
import { checkReadiness, type Readiness } from './health.ts'

/** `/ping` is SageMaker's container contract. */
export const PROBE_PATHS: readonly string[] = ['/healthz', '/readyz', '/ping']

/** Loading a model takes seconds; a probe more often learns nothing. */
const NOT_READY_RETRY_AFTER_S = 5
/** SageMaker waits for two seconds. */
const PING_TIMEOUT_MS = 1500

export interface ProbeArguments {
  readonly models: ModelDirectory
  readonly clock: Clock
  readonly probeTimeoutMs: number
  readonly isDraining: () => boolean
}

export function addProbeRoutes(app: FastifyInstance, { models, clock, probeTimeoutMs, isDraining }: ProbeArguments): void {
  const check = (timeoutMs: number): Promise<Readiness> => checkReadiness({ models, clock, probeTimeoutMs: timeoutMs, draining: isDraining() })
  app.get('/healthz', (_request, reply) => void reply.type(JSON_MEDIA_TYPE).send(JSON.stringify({ status: 'ok' })))
  app.get('/readyz', async (_request, reply) => {
    const readiness = await check(probeTimeoutMs)
    return sendState(reply, readiness).type(JSON_MEDIA_TYPE).send(JSON.stringify(readiness))
  })
  app.get('/ping', async (_request, reply) => sendState(reply, await check(Math.min(probeTimeoutMs, PING_TIMEOUT_MS))).send())
}

function sendState(reply: FastifyReply, { status }: Readiness): FastifyReply {
  if (status === 'ready') return reply.code(200)
  return reply.code(503).header('retry-after', String(NOT_READY_RETRY_AFTER_S))
}
