/**
 * HTTP/2 in clear text with prior knowledge (RFC 9113, section 3.3), as the AWS clients for JavaScript speak it. Requests arrive in the
 * compatibility form of node:http2, so that everything behind sees one kind of request.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createServer, type Http2Server, type Http2ServerRequest, type ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { ConnectionTable } from './connection-table.ts'
import type { ServerOptions } from './server-options.ts'

const MAX_CONCURRENT_STREAMS = 128
/** Streams that a client may reset in one go, and then per second: more is an attack (CVE-2023-44487) and ends the session. */
const STREAM_RESET_BURST = 200
const STREAM_RESET_RATE = 33
const MAX_SESSION_MEMORY_MB = 16

export interface Http2ServerArguments {
  readonly handler: RequestListener
  readonly options: ServerOptions
  readonly connections: ConnectionTable
}

/** Gives node:http2 the connections that begin with its preface, and knows the sessions on them. */
export class Http2Connections {
  private readonly server: Http2Server
  private readonly options: ServerOptions
  private readonly sessions = new Map<ServerHttp2Session, Socket>()
  /** The connection that is being handed over: the session's own socket is a stand-in. */
  private entering: Socket | null = null

  constructor({ handler, options, connections }: Http2ServerArguments) {
    this.options = options
    this.server = createServer({
      settings: { enablePush: false, maxConcurrentStreams: MAX_CONCURRENT_STREAMS, maxHeaderListSize: options.maxHeaderBytes },
      maxHeaderListPairs: options.maxHeaders + 1,
      maxSessionMemory: MAX_SESSION_MEMORY_MB,
      streamResetBurst: STREAM_RESET_BURST,
      streamResetRate: STREAM_RESET_RATE,
    })
    this.server.on('session', (session) => this.open(session))
    this.server.on('request', (request, response) => {
      const socket = this.sessionSocket(request)
      // The compatibility form promises the parts of node:http that this folder uses.
      const answer = response as unknown as ServerResponse
      if (socket !== null) connections.track(socket, answer)
      handler(request as unknown as IncomingMessage & Parameters<RequestListener>[0], answer as Parameters<RequestListener>[1])
    })
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
    const { entering: socket, options } = this
    if (socket === null) return
    this.sessions.set(session, socket)
    session.once('close', () => {
      this.sessions.delete(session)
      socket.destroy()
    })
    session.on('error', () => {})
    // As in HTTP/1.1: who closes the sending side is gone.
    socket.once('end', () => socket.destroy())
    // Without a stream a session is an idle connection; one that asks for nothing at first is a slow request.
    session.setTimeout(options.headersTimeoutMs, () => this.closeIdle(session))
    session.once('stream', () => session.setTimeout(options.keepAliveTimeoutMs, () => this.closeIdle(session)))
  }

  private closeIdle(session: ServerHttp2Session): void {
    session.close()
  }

  private sessionSocket(request: Http2ServerRequest): Socket | null {
    const { session } = request.stream
    return session === undefined ? null : (this.sessions.get(session as ServerHttp2Session) ?? null)
  }
}
