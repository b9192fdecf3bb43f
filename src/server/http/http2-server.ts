/**
 * HTTP/2 in clear text with prior knowledge (RFC 9113, section 3.3), as the AWS clients for JavaScript speak it. Requests arrive in the
 * compatibility form of node:http2, so that everything behind sees one kind of request.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { constants, createServer, type Http2Server, type Http2ServerRequest, type Http2ServerResponse, type ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { ProtocolFamily } from '#server/operation'
import type { ConnectionTable } from './connection-table.ts'
import type { ServerOptions } from './server-options.ts'

const MAX_CONCURRENT_STREAMS = 128
/** Headers up to so many times the limits reach the door, which refuses them in words; more is refused by a reset. */
const HEADER_SLACK = 4
/** Streams that a client may reset in one go, and then per second: more is an attack (CVE-2023-44487) and ends the session. */
const STREAM_RESET_BURST = 200
const STREAM_RESET_RATE = 33
const MAX_SESSION_MEMORY_MB = 16
/** For the frame that says goodbye to leave. */
const GOODBYE_MS = 1000
/** A reason of its own: the default one is an exception with a stack, made for each session. */
const CLOSED = new InferdError('cancelled', 'the session has ended')

export interface Http2ServerArguments {
  readonly handler: RequestListener
  readonly options: ServerOptions
  readonly connections: ConnectionTable
  readonly family: ProtocolFamily
  readonly newId: (prefix: string) => string
  readonly clock: Clock
}

/** Gives node:http2 the connections that begin with its preface, and knows the sessions on them. */
export class Http2Connections {
  private readonly server: Http2Server
  private readonly args: Http2ServerArguments
  private readonly sessions = new Map<ServerHttp2Session, Socket>()
  /** The connection that is being handed over: the session's own socket is a stand-in. */
  private entering: Socket | null = null

  constructor(args: Http2ServerArguments) {
    const { handler, options, connections } = args
    this.args = args
    this.server = createServer({
      settings: { enablePush: false, maxConcurrentStreams: MAX_CONCURRENT_STREAMS, maxHeaderListSize: HEADER_SLACK * options.maxHeaderBytes },
      maxHeaderListPairs: HEADER_SLACK * options.maxHeaders,
      maxSessionMemory: MAX_SESSION_MEMORY_MB,
      streamResetBurst: STREAM_RESET_BURST,
      streamResetRate: STREAM_RESET_RATE,
    })
    this.server.on('session', (session) => this.open(session))
    const serve = (request: Http2ServerRequest, response: Http2ServerResponse): void => {
      const socket = this.sessionSocket(request)
      // The compatibility form promises the parts of node:http that this folder uses.
      const answer = response as unknown as ServerResponse
      if (socket !== null) connections.track(socket, answer)
      if (request.authority !== '') request.headers.host ??= request.authority
      handler(request as unknown as IncomingMessage, answer as Parameters<RequestListener>[1])
    }
    this.server.on('request', serve)
    // RFC 9110, section 10.1.1: an unknown expectation may be ignored.
    this.server.on('checkExpectation', serve)
    this.server.on('connect', (_request, response: Http2ServerResponse) => refuseTunnel(args, response))
    this.server.on('sessionError', () => {})
  }

  enter(socket: Socket): void {
    this.entering = socket
    this.server.emit('connection', socket)
    this.entering = null
  }

  /** Sessions take no new streams; those that run go on. */
  drain(): void {
    for (const session of this.sessions.keys()) session.close()
  }

  private open(session: ServerHttp2Session): void {
    const { entering: socket } = this
    if (socket === null) return
    this.sessions.set(session, socket)
    session.once('close', () => {
      this.sessions.delete(session)
      socket.destroy()
    })
    session.on('error', () => {})
    // As in HTTP/1.1: who closes the sending side is gone.
    socket.once('end', () => socket.destroy())
    this.closeWhenIdle(session).catch(() => {})
  }

  /** Without a stream a session is an idle connection; one that asks for nothing at first is a slow request. Ends with a rejection. */
  private async closeWhenIdle(session: ServerHttp2Session): Promise<void> {
    const { clock, options } = this.args
    const closed = new AbortController()
    session.once('close', () => closed.abort(CLOSED))
    let numStreams = 0
    let limitMs = options.headersTimeoutMs
    let idleSinceMs = clock.nowMs()
    session.on('stream', (stream) => {
      numStreams++
      limitMs = options.keepAliveTimeoutMs
      stream.once('close', () => {
        numStreams--
        idleSinceMs = clock.nowMs()
      })
    })
    for (;;) {
      const dueMs = numStreams > 0 ? limitMs : idleSinceMs + limitMs - clock.nowMs()
      if (dueMs <= 0) break
      // The first stream may end at any time: no sleep is longer than the shortest limit.
      await clock.sleep(Math.min(dueMs, options.headersTimeoutMs, options.keepAliveTimeoutMs), closed.signal)
    }
    session.close()
    await clock.sleep(GOODBYE_MS, closed.signal)
    if (numStreams === 0) session.destroy()
  }

  private sessionSocket(request: Http2ServerRequest): Socket | null {
    const { session } = request.stream
    return session === undefined ? null : (this.sessions.get(session as ServerHttp2Session) ?? null)
  }
}

function refuseTunnel({ family, newId }: Http2ServerArguments, response: Http2ServerResponse): void {
  const requestId = newId('req')
  const error = { code: 'method_not_allowed', message: 'this server is not a proxy', param: null, retryAfterMs: null } as const
  const { status, headers, body } = family.encodeError(error, requestId)
  response.stream.on('error', () => {})
  response.writeHead(status, { ...headers, 'x-request-id': requestId, 'content-type': 'application/json; charset=utf-8' })
  response.end(body, () => response.stream.close(constants.NGHTTP2_NO_ERROR))
}
