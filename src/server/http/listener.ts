/**
 * The server: fastify for routing, everything that meets strangers' bytes in this folder. Order for each request: id, door
 * (headers, host, origin), drain, authorization, then the route, so that no route error is seen by a caller who may not be here.
 */
import { once } from 'node:events'
import type { RequestListener, Server as HttpServerOfNode } from 'node:http'
import type { Server } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Clock } from '#base/clock'
import { randomId } from '#base/random'
import { type ErrorRecord, InferdError, toErrorRecord } from '#contract/errors'
import type { RunWireCall } from '#contract/job'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { directModels, type OnlineModels } from '#platform/online/online-models'
import type { ModelDirectory } from '#platform/registry/served-model'
import type { Incoming } from '#server/operation'
import { PROTOCOL_FAMILIES } from '#server/protocol-families'
import { NO_SERVICES, type ServerServices } from '#server/services'
import { MemoryBudget } from './memory-budget.ts'
import { ConnectionTable } from './connection-table.ts'
import { checkDoor } from './door.ts'
import type { Authenticate, ScopeRefusal } from './door-request.ts'
import { sendError } from './error-reply.ts'
import { type FamilyRoute, FamilyTable } from './family-table.ts'
import { IncomingBody } from './incoming-body.ts'
import { createPortServer, type PortServer } from './port-server.ts'
import { addProbeRoutes, PROBE_PATHS } from './probe-routes.ts'
import { logWhenDone } from './request-log.ts'
import { RequestScope, RunningRequests } from './request-scope.ts'
import { type HandlerContext, handleRoute } from './route-handlers.ts'
import { pathOf, recordOf, routeNotFound, routeRefusal } from './route-refusal.ts'
import { DEFAULT_SERVER_OPTIONS, type ServerLog, type ServerOptions } from './server-options.ts'
import { WireCalls } from './wire-calls.ts'

export interface ServerArguments {
  readonly models: ModelDirectory
  readonly options?: Partial<ServerOptions>
  readonly log: ServerLog
  readonly clock: Clock
  /** Unguessable ids; tests give their own. */
  readonly newId?: (prefix: string) => string
  /** Runs before any route is looked at, health routes excepted; without it every caller is the local one. */
  readonly authenticate?: Authenticate
  /** Told of each; must not throw. */
  readonly onScopeRefusal?: (refusal: ScopeRefusal) => void
  /** null or absent: models are called directly. */
  readonly online?: OnlineModels
  readonly services?: ServerServices
}

export interface ListenAddress {
  readonly host: string
  readonly port: number
  /** Without a trailing slash. */
  readonly url: string
}

export interface InferenceServer {
  /** Throws invalid_parameter when the address cannot be had. */
  listen(): Promise<ListenAddress>
  /** Takes no new work, lets what runs end for `graceMs`, then ends it with an error; resolves when all sockets are closed. */
  close(options?: { readonly graceMs?: number }): Promise<void>
  /** Without a connection, through the same doors; throws shutting_down once the server is closed. */
  readonly call: RunWireCall
}

const DEFAULT_GRACE_MS = 30_000
/** For error frames to leave after the grace is over. */
const FORCED_END_MS = 1000
/** Idle connections stay open for so long when the server drains: a call that is on its way on one of them is refused in words. */
const GOODBYE_MS = 250
/** What the operator can change, by the error code of the operating system. */
const BIND_FAILURES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EACCES: 'this user may not use that port',
  ENOTFOUND: 'no such host name',
}
const CLIENT_REQUEST_ID = /^[\w.:-]{1,64}$/

export function createServer(args: ServerArguments): InferenceServer {
  return new HttpServer(args)
}

class HttpServer implements InferenceServer {
  private readonly args: ServerArguments
  private readonly options: ServerOptions
  private readonly families = new FamilyTable(PROTOCOL_FAMILIES)
  private readonly newId: (prefix: string) => string
  private readonly connections: ConnectionTable
  private readonly running = new RunningRequests()
  private readonly bodyMemory: MemoryBudget
  private readonly app: FastifyInstance
  private readonly wireCalls: WireCalls
  /** One for each bound address. */
  private readonly portServers: PortServer[] = []
  private draining = false
  private closing: Promise<void> | null = null

  constructor(args: ServerArguments) {
    this.args = args
    this.newId = args.newId ?? randomId
    this.options = { ...DEFAULT_SERVER_OPTIONS, ...args.options }
    this.bodyMemory = new MemoryBudget(this.options.maxBufferedBodyBytes)
    this.connections = new ConnectionTable(this.options.maxConnections)
    this.app = this.createApp()
    this.wireCalls = new WireCalls(this.app, this.running)
    this.addRoutes()
  }

  get call(): RunWireCall {
    return this.wireCalls.run
  }

  async listen(): Promise<ListenAddress> {
    const { host } = this.options
    const isLocalhost = host === 'localhost'
    await this.bind(isLocalhost ? '127.0.0.1' : host)
    const address = this.app.server.address()
    const port = typeof address === 'object' && address !== null ? address.port : this.options.port
    if (isLocalhost) await this.listenOnIpv6Loopback(port)
    const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
    this.args.log.info({ url }, 'listening')
    return { host, port, url }
  }

  private async bind(host: string): Promise<void> {
    const { port } = this.options
    try {
      await this.app.listen({ host, port })
    } catch (cause) {
      const reason = BIND_FAILURES[cause instanceof Error && 'code' in cause ? String(cause.code) : '']
      if (reason === undefined) throw cause
      throw new InferdError('invalid_parameter', `cannot listen on ${host} port ${port}: ${reason}`, { cause })
    }
  }

  close({ graceMs = DEFAULT_GRACE_MS }: { readonly graceMs?: number } = {}): Promise<void> {
    this.closing ??= this.drain(graceMs)
    return this.closing
  }

  private async drain(graceMs: number): Promise<void> {
    this.draining = true
    for (const { listener, drain } of this.portServers) {
      if (listener !== (this.app.server as Server)) listener.close()
      drain()
    }
    const closed = this.app.close()
    const waiting = new AbortController()
    const { clock, log } = this.args
    const pause = (durationMs: number): Promise<void> => clock.sleep(durationMs, waiting.signal).catch(() => {})
    const idle = Promise.all([this.running.whenIdle(), this.sayGoodbye(graceMs, pause)])
    await Promise.race([idle, pause(graceMs)])
    if (this.running.count > 0) {
      log.warn({ requests: this.running.count }, 'grace is over: running requests are ended')
      this.running.abortAll(new InferdError('shutting_down', 'the server is shutting down'))
      await Promise.race([idle, pause(FORCED_END_MS)])
    }
    this.connections.closeAll()
    await Promise.race([closed, pause(FORCED_END_MS)])
    this.connections.destroyAll()
    waiting.abort()
    await closed
  }

  private async sayGoodbye(graceMs: number, pause: (durationMs: number) => Promise<void>): Promise<void> {
    if (graceMs > 0 && this.connections.count > 0) await pause(Math.min(graceMs, GOODBYE_MS))
    for (const { closeIdle } of this.portServers) closeIdle()
  }

  private createApp(): FastifyInstance {
    const app = Fastify({
      logger: false,
      forceCloseConnections: false,
      return503OnClosing: false,
      routerOptions: { maxParamLength: this.options.maxHeaderBytes },
      requestIdHeader: false,
      genReqId: (raw) => requestIdOf(raw.headers['x-request-id'], this.newId),
      // Fastify asks of its server what every server of node:net has.
      serverFactory: (handler) => this.addPortServer(handler) as HttpServerOfNode,
      clientErrorHandler: () => {},
      frameworkErrors: (_error, request, reply) => {
        this.enter(request, reply).then(
          () => this.refuse(request, reply, routeNotFound(request)),
          (error: unknown) => this.refuse(request, reply, toErrorRecord(error)),
        )
      },
    })
    app.removeAllContentTypeParsers()
    // Bodies are read by the handlers, after everything that can refuse a request without its body.
    app.addContentTypeParser('*', (_request, _payload, done) => done(null))
    app.addHook('onRequest', (request, reply) => this.enter(request, reply))
    app.setErrorHandler((error, request, reply) => this.refuse(request, reply, recordOf(error, request, this.args.log)))
    app.setNotFoundHandler((request, reply) => this.refuse(request, reply, routeRefusal(app, request, reply)))
    return app
  }

  private addPortServer(handler: RequestListener): Server {
    const { args, options, connections, families } = this
    const server = createPortServer({ handler, options, connections, family: families.fallback, newId: this.newId, clock: args.clock })
    this.portServers.push(server)
    return server.listener
  }

  /** `localhost` is both addresses for clients, whatever the machine's hosts file says; a machine may lack IPv6. */
  private async listenOnIpv6Loopback(port: number): Promise<void> {
    const server = this.addPortServer((request, response) => this.app.routing(request, response))
    try {
      server.listen({ host: '::1', port })
      await once(server, 'listening')
    } catch (error) {
      this.args.log.warn({ err: error }, 'not listening on ::1')
    }
  }

  private addRoutes(): void {
    const { args, options, running } = this
    const logprobMemory = new MemoryBudget(options.maxHeldLogprobEntries)
    const context: HandlerContext = {
      ...args,
      online: args.online ?? directModels(args.models),
      services: args.services ?? NO_SERVICES,
      options,
      running,
      newId: this.newId,
      logprobMemory,
    }
    for (const [first, ...others] of this.families.routeGroups()) {
      this.app.route({
        method: first.route.method,
        url: first.route.path,
        handler: (request, reply) => answered(reply, handleRoute(routeFor([first, ...others], request), request, reply, context)),
      })
    }
    addProbeRoutes(this.app, { ...args, probeTimeoutMs: options.probeTimeoutMs, isDraining: () => this.draining })
  }

  private async enter(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { args, options, running } = this
    void reply.header('x-request-id', request.id)
    const body = new IncomingBody({ request: request.raw, limits: options, clock: args.clock, memory: this.bodyMemory })
    const scope = new RequestScope({ id: request.id, arrivedMs: args.clock.nowMs(), body })
    running.open(request.raw, reply.raw, scope)
    logWhenDone(request, reply, args)
    const wireCall = this.wireCalls.take(request.raw, reply.raw)
    const refusal = wireCall === null ? checkDoor(request.raw, options) : null
    if (refusal !== null) throw refusal
    if (PROBE_PATHS.includes(request.url)) return
    if (this.draining) throw new InferdError('shutting_down', 'the server is shutting down')
    // Its signal is its deadline.
    if (wireCall !== null) return scope.admit(wireCall)
    scope.startDeadline(args.clock, options.requestTimeoutMs)
    scope.cutAfterAbort(reply.raw, args.clock, options.cutAfterAbortMs)
    const { method, url, headers, raw } = request
    const door = { method, url, headers, rawHeaders: raw.rawHeaders, remoteAddress: request.ip, readBody: () => scope.body.read() }
    const principal = await scope.race(Promise.resolve(args.authenticate?.(door)))
    scope.admit({ principal: principal ?? LOCAL_PRINCIPAL, isBatch: false })
  }

  private refuse(request: FastifyRequest, reply: FastifyReply, error: ErrorRecord): void {
    const family = this.families.of(pathOf(request.url), request.headers)
    sendError({ request, reply, family, error, clock: this.args.clock, lingerMs: this.options.lingerMs })
  }
}

/** The first that matches the headers; the last one speaks for everybody else. */
function routeFor(group: readonly [FamilyRoute, ...FamilyRoute[]], { headers }: FastifyRequest): FamilyRoute {
  const texts = headers as Incoming['headers']
  return group.find(({ route }) => route.matches?.(texts) ?? true) ?? group[0]
}

/** Tells the framework to wait for `work` and that the reply sends itself. */
async function answered(reply: FastifyReply, work: Promise<void>): Promise<FastifyReply> {
  await work
  return reply
}

function requestIdOf(header: string | string[] | undefined, newId: (prefix: string) => string): string {
  return typeof header === 'string' && CLIENT_REQUEST_ID.test(header) ? header : newId('req')
}
