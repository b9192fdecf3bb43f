/** What happens on each kind of route, once the request is through the door. */
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { assert, unreachable } from '#base/assert'
import type { Clock } from '#base/clock'
import { type CallerContext, newCallReport, type OnlineCall } from '#contract/call'
import { InferdError, toErrorRecord } from '#contract/errors'
import type { Principal } from '#contract/principal'
import type { CallableModel, OnlineModels } from '#platform/online/online-models'
import type { CountCall, DecodeContext, EmbedCall, GenerateCall, Incoming, ListModels, ProtocolRoute, WireReply } from '#server/operation'
import type { ServerServices } from '#server/services'
import type { ScopeRefusal } from './door-request.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { FamilyRoute } from './family-table.ts'
import { type CallTap, openTap } from './call-tap.ts'
import { type GenerateExchange, generateStream, generateWhole } from './generate-exchange.ts'
import { startInBackground } from './background-exchange.ts'
import { readIncoming } from './incoming.ts'
import { findModel, readyFacts, systemFingerprint } from './model-lookup.ts'
import { placeError } from './place-error.ts'
import { trailedStream, withReport } from './report-headers.ts'
import type { RequestScope, RunningRequests } from './request-scope.ts'
import type { ServerLog, ServerOptions } from './server-options.ts'
import { StreamWriter } from './stream-writer.ts'

export interface HandlerContext {
  readonly online: OnlineModels
  readonly services: ServerServices
  readonly options: ServerOptions
  readonly clock: Clock
  readonly log: ServerLog
  readonly running: RunningRequests
  readonly newId: (prefix: string) => string
  readonly logprobMemory: MemoryBudget
  readonly onScopeRefusal?: (refusal: ScopeRefusal) => void
}

/** One request with what every kind of route needs of it. */
interface Exchange {
  readonly incoming: Incoming
  readonly dialect: string
  readonly scope: RequestScope
  readonly reply: FastifyReply
  readonly context: HandlerContext
}

type RouteOf<Kind extends ProtocolRoute['kind']> = Extract<ProtocolRoute, { readonly kind: Kind }>

/** Throws InferdError for everything that gets a status of its own. */
export async function handleRoute(
  { dialect, route }: FamilyRoute,
  request: FastifyRequest,
  reply: FastifyReply,
  context: HandlerContext,
): Promise<void> {
  const scope = scopeOf(request, context)
  checkScope(route, scope.principal, context)
  const incoming = await scope.race(readIncoming(route, request, scope.body))
  return answer(route, { incoming, dialect, scope, reply, context })
}

async function answer(route: ProtocolRoute, exchange: Exchange): Promise<void> {
  const { incoming, scope, reply, context } = exchange
  switch (route.kind) {
    case 'dispatch':
      return answer(route.choose(incoming), exchange)
    case 'generate':
      return generate(route, exchange)
    case 'embed':
      return embed(route, exchange)
    case 'count':
      return count(route, exchange)
    case 'list-models':
      return sendReply(reply, route.encode(context.online.list(scope.principal), incoming, scope.id))
    case 'get-model':
      return sendReply(reply, route.encode(findModel(context.online, scope.principal, incoming.params['*'] ?? ''), scope.id))
    case 'service':
      return sendReply(reply, await scope.race(route.handle(incoming, serviceContext(exchange))))
    default:
      return unreachable(route)
  }
}

function sendReply(reply: FastifyReply, { status, headers, body }: WireReply): void {
  void reply
    .code(status)
    .headers({ ...headers })
    .send(payloadOf(body))
}

function payloadOf(body: WireReply['body']): string | Buffer | Readable {
  if (typeof body === 'string') return body
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return Readable.from(body, { objectMode: false })
}

async function generate(route: RouteOf<'generate'>, exchange: Exchange): Promise<void> {
  const { incoming, scope, reply, context } = exchange
  const model = await loadedModel(route.modelOf(incoming, listerOf(exchange)), exchange)
  const call = await scope.race(Promise.resolve(route.decode(incoming, decodeContext(route, model, exchange))))
  const caller = callerContext(model.name, call, exchange)
  const { report } = caller
  const start = (request: OnlineCall['request'], index: number, signal: AbortSignal): ReturnType<OnlineModels['generate']> =>
    context.online.generate(onlineCall({ caller, call, request, index }), signal)
  const running: GenerateExchange = { call, start, scope, report }
  if (call.background !== undefined) return sendReply(reply, await startInBackground(running, call.background, context))
  const tap = openTap(context.services.captures, scope.id, { model: model.name, incoming, options: caller.options, report })
  try {
    await (call.stream ? answerStreamed(running, exchange, tap) : answerWhole(running, exchange, tap))
  } finally {
    tap?.abandon()
  }
}

async function answerWhole(running: GenerateExchange, { reply, context }: Exchange, tap: CallTap | null): Promise<void> {
  const { call, report } = running
  const outcome = await generateWhole(running, context.logprobMemory)
  const encoded = call.encodeResponse(outcome, report)
  tap?.reply(encoded)
  sendReply(reply, withReport(encoded, report))
}

async function answerStreamed(running: GenerateExchange, { scope, reply, context }: Exchange, tap: CallTap | null): Promise<void> {
  const { call, report } = running
  const takeOver = (): ReturnType<FastifyReply['getHeaders']> => {
    reply.hijack()
    return reply.getHeaders()
  }
  const encoded = call.startStream(report)
  const stream = trailedStream(tap?.stream(encoded) ?? encoded, report, reply.raw)
  const writer = new StreamWriter({ response: reply.raw, takeOver, stream, options: context.options, clock: context.clock })
  const failure = await generateStream(running, { encode: stream.encode, writer })
  tap?.streamEnd(encoded)
  if (failure === null) return
  const { code } = toErrorRecord(failure)
  // A client that leaves is no fault of ours; the line of the request says that it was not completed.
  if (code !== 'cancelled') context.log.warn({ requestId: scope.id, code }, 'stream ended with an error')
}

async function embed(route: RouteOf<'embed'>, exchange: Exchange): Promise<void> {
  const { incoming, scope, reply, context } = exchange
  const model = await loadedModel(route.modelOf(incoming, listerOf(exchange)), exchange)
  const call: EmbedCall = route.decode(incoming, decodeContext(route, model, exchange))
  const caller = callerContext(model.name, call, exchange)
  const work = context.online.embed({ ...caller, operation: 'embeddings', request: call.request }, scope.signal)
  const result = await scope.race(work).catch((error: unknown) => {
    throw placeError(error, call.placeOf)
  })
  const encoded = call.encodeResponse(result, caller.report)
  openTap(context.services.captures, scope.id, { model: model.name, incoming, options: caller.options, report: caller.report })?.reply(encoded)
  sendReply(reply, withReport(encoded, caller.report))
}

async function count(route: RouteOf<'count'>, exchange: Exchange): Promise<void> {
  const { incoming, scope, reply, context } = exchange
  const model = await loadedModel(route.modelOf(incoming, listerOf(exchange)), exchange)
  const call: CountCall = await scope.race(Promise.resolve(route.decode(incoming, decodeContext(route, model, exchange))))
  const work = context.online.countTokens(scope.principal, model.name, call.request, scope.signal)
  const numTokens = await scope.race(work).catch((error: unknown) => {
    throw placeError(error, call.placeOf)
  })
  sendReply(reply, call.encodeResponse(numTokens))
}

function listerOf({ scope, context }: Exchange): ListModels {
  return () => context.online.list(scope.principal)
}

async function loadedModel(name: string, { scope, context }: Exchange): Promise<CallableModel> {
  const model = findModel(context.online, scope.principal, name)
  await scope.race(model.whileLoading(scope.signal))
  return model
}

function decodeContext({ idPrefix }: { readonly idPrefix: string }, model: CallableModel, { scope, context }: Exchange): DecodeContext {
  const { options, clock, newId, services } = context
  const facts = readyFacts(model)
  return {
    model: model.name,
    requestId: scope.id,
    responseId: newId(idPrefix),
    createdSeconds: Math.floor(clock.wallMs() / 1000),
    systemFingerprint: systemFingerprint(options.version, facts),
    facts,
    limits: options.limits,
    principal: scope.principal,
    services,
    elapsedMs: () => Math.round(clock.nowMs() - scope.arrivedMs),
  }
}

function callerContext(model: string, { options }: Pick<GenerateCall | EmbedCall, 'options'>, { dialect, scope, incoming }: Exchange): CallerContext {
  const { id: requestId, principal, arrivedMs } = scope
  const { traceparent } = incoming.headers
  const traced = traceparent === undefined ? {} : { traceparent }
  const base = { requestId, principal, dialect, model, arrivedMs, report: newCallReport(), ...traced }
  return scope.isBatch ? { ...base, options: { ...options, tier: 'flex' }, isBatch: true } : { ...base, options }
}

interface OnlineCallParts {
  readonly caller: CallerContext
  readonly call: GenerateCall
  readonly request: OnlineCall['request']
  readonly index: number
}

function onlineCall({ caller, call, request, index }: OnlineCallParts): OnlineCall {
  const requestId = call.requests.length === 1 ? caller.requestId : `${caller.requestId}/${index}`
  return { ...caller, requestId, operation: call.operation, request, isBuffered: !call.stream }
}

function serviceContext({ scope, context }: Exchange): Parameters<RouteOf<'service'>['handle']>[1] {
  const { services, options, clock, newId, online } = context
  const { id: requestId, principal, signal } = scope
  const nowSeconds = Math.floor(clock.wallMs() / 1000)
  return { requestId, principal, services, limits: options.limits, models: online.list(principal), newId, nowSeconds, signal }
}

function checkScope({ scope = 'inference', method, path }: ProtocolRoute, { keyId, scopes }: Principal, { onScopeRefusal }: HandlerContext): void {
  if (scopes.includes(scope)) return
  onScopeRefusal?.({ keyId, method, route: path, scope })
  throw new InferdError('forbidden', `this key may not do that: it lacks the scope ${scope}`)
}

function scopeOf(request: FastifyRequest, { running }: HandlerContext): RequestScope {
  const scope = running.scopeOf(request.raw)
  if (scope === null) throw new InferdError('cancelled', 'the client closed the connection')
  assert(scope.id === request.id, 'a request has the scope of another')
  return scope
}
