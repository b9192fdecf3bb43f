/** What happens on each kind of route, once the request is through the door. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { assert, unreachable } from '#base/assert'
import type { Clock } from '#base/clock'
import { InferdError, toErrorRecord } from '#contract/errors'
import type { ModelFacts } from '#contract/generate'
import type { ModelDirectory, ServedModel } from '#platform/registry/served-model'
import type { DecodeContext, JsonObject, ProtocolRoute } from '#server/operation'
import type { MemoryBudget } from './memory-budget.ts'
import { readBody } from './body-reader.ts'
import { checkJsonMediaType } from './door.ts'
import { JSON_MEDIA_TYPE } from './error-reply.ts'
import { generateStream, generateWhole } from './generate-exchange.ts'
import { parseJsonObject } from './json-body.ts'
import { findModel, readyFacts, systemFingerprint } from './model-lookup.ts'
import { placeError } from './place-error.ts'
import type { RequestScope, RunningRequests } from './request-scope.ts'
import type { ServerLog, ServerOptions } from './server-options.ts'
import { StreamWriter } from './stream-writer.ts'

export interface HandlerContext {
  readonly models: ModelDirectory
  readonly options: ServerOptions
  readonly clock: Clock
  readonly log: ServerLog
  readonly running: RunningRequests
  readonly newId: (prefix: string) => string
  readonly bodyMemory: MemoryBudget
  readonly logprobMemory: MemoryBudget
}

type GenerateRoute = Extract<ProtocolRoute, { kind: 'generate' }>
type EmbedRoute = Extract<ProtocolRoute, { kind: 'embed' }>

/** Throws InferdError for everything that gets a status of its own. */
export async function handleRoute(route: ProtocolRoute, request: FastifyRequest, reply: FastifyReply, context: HandlerContext): Promise<void> {
  switch (route.kind) {
    case 'generate':
      return generate(route, request, reply, context)
    case 'embed':
      return embed(route, request, reply, context)
    case 'list-models':
      return sendJson(reply, route.encode(context.models.list()))
    case 'get-model':
      return sendJson(reply, route.encode(findModel(context.models, (request.params as { readonly '*': string })['*'])))
    default:
      return unreachable(route)
  }
}

export function sendJson(reply: FastifyReply, body: string, status = 200): void {
  void reply.code(status).type(JSON_MEDIA_TYPE).send(body)
}

async function generate(route: GenerateRoute, request: FastifyRequest, reply: FastifyReply, context: HandlerContext): Promise<void> {
  const scope = scopeOf(request, context)
  const body = await readJson(request, context)
  const model = findModel(context.models, route.modelOf(body))
  await scope.race(model.whileLoading(scope.signal))
  const call = route.decode(body, decodeContext(route, model, context))
  if (!call.stream) return sendJson(reply, call.encodeResponse(await generateWhole({ call, model, scope }, context.logprobMemory)))
  const takeOver = (): ReturnType<FastifyReply['getHeaders']> => {
    reply.hijack()
    return reply.getHeaders()
  }
  const stream = call.startStream()
  const writer = new StreamWriter({ response: reply.raw, takeOver, stream, options: context.options, clock: context.clock })
  const failure = await generateStream({ call, model, scope }, { encode: stream.encode, writer })
  if (failure === null) return
  const { code } = toErrorRecord(failure)
  // A client that leaves is no fault of ours; the line of the request says that it was not completed.
  if (code !== 'cancelled') context.log.warn({ requestId: scope.id, code }, 'stream ended with an error')
}

async function embed(route: EmbedRoute, request: FastifyRequest, reply: FastifyReply, context: HandlerContext): Promise<void> {
  const scope = scopeOf(request, context)
  const body = await readJson(request, context)
  const model = findModel(context.models, route.modelOf(body))
  await scope.race(model.whileLoading(scope.signal))
  const call = route.decode(body, decodeContext(route, model, context))
  const result = await scope.race(model.embed(call.request, scope.signal)).catch((error: unknown) => {
    throw placeError(error, call.placeOf)
  })
  sendJson(reply, call.encodeResponse(result))
}

async function readJson(request: FastifyRequest, { options, clock, bodyMemory }: HandlerContext): Promise<JsonObject> {
  checkJsonMediaType(request.raw)
  return parseJsonObject(await readBody({ request: request.raw, limits: options, clock, memory: bodyMemory }))
}

function decodeContext(route: GenerateRoute | EmbedRoute, model: ServedModel, { options, clock, newId }: HandlerContext): DecodeContext {
  const facts: ModelFacts = readyFacts(model)
  return {
    responseId: newId(route.idPrefix),
    createdSeconds: Math.floor(clock.wallMs() / 1000),
    systemFingerprint: systemFingerprint(options.version, facts),
    facts,
    limits: options.limits,
  }
}

function scopeOf(request: FastifyRequest, { running }: HandlerContext): RequestScope {
  const scope = running.scopeOf(request.raw)
  if (scope === null) throw new InferdError('cancelled', 'the client closed the connection')
  assert(scope.id === request.id, 'a request has the scope of another')
  return scope
}
