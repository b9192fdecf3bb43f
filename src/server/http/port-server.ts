/**
 * One port, two protocols: a connection that begins with the preface of HTTP/2 (`PRI`) goes to node:http2, any other one to node:http.
 * What is on the wire decides, before any byte is consumed.
 */
import type { RequestListener } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '#base/clock'
import type { ProtocolFamily } from '#server/operation'
import type { ConnectionTable } from './connection-table.ts'
import { createHttp1Server } from './http1-server.ts'
import { Http2Connections } from './http2-server.ts'
import type { ServerOptions } from './server-options.ts'

/** RFC 9113, section 3.4. No HTTP/1.1 method begins with it. */
const PREFACE = 'PRI'

export interface PortServerArguments {
  readonly handler: RequestListener
  readonly options: ServerOptions
  readonly connections: ConnectionTable
  readonly family: ProtocolFamily
  readonly newId: (prefix: string) => string
  readonly clock: Clock
}

export interface PortServer {
  /** What listens. */
  readonly listener: Server
  /** Sessions take no new streams. */
  readonly drain: () => void
  /** Those of HTTP/1.1. */
  readonly closeIdle: () => void
}

export function createPortServer(args: PortServerArguments): PortServer {
  const http1 = createHttp1Server(args)
  const http2 = new Http2Connections(args)
  const route = async (socket: Socket): Promise<void> => {
    switch (await sniff(socket, args.clock, args.options.headersTimeoutMs)) {
      case 'http1':
        return void http1.emit('connection', socket)
      case 'http2':
        return http2.enter(socket)
      case 'silence':
        return void http1.emit('clientError', { code: 'ERR_HTTP_REQUEST_TIMEOUT' }, socket)
      case 'closed':
    }
  }
  const listener = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    if (args.connections.add(socket)) void route(socket)
  })
  return { listener, drain: () => http2.drain(), closeIdle: () => void http1.close() }
}

type Opening = 'http1' | 'http2' | 'silence'

/** Waits for the first bytes and leaves them on the connection. One that closes before it says anything is nobody's. */
async function sniff(socket: Socket, clock: Clock, timeoutMs: number): Promise<Opening | 'closed'> {
  const { promise, resolve } = Promise.withResolvers<Opening | 'closed'>()
  const waiting = new AbortController()
  let held = Buffer.alloc(0)
  const look = (): void => {
    const bytes = socket.read() as Buffer | null
    if (bytes === null) return
    held = Buffer.concat([held, bytes])
    const start = held.toString('latin1', 0, PREFACE.length)
    // A single `P` may still become POST.
    if (start.length < PREFACE.length && PREFACE.startsWith(start)) return
    socket.unshift(held)
    settle(start === PREFACE ? 'http2' : 'http1')
  }
  const onEnd = (): void => {
    socket.destroy()
    settle('closed')
  }
  const onError = (): void => {}
  const onClose = (): void => settle('closed')
  const settle = (opening: Opening | 'closed'): void => {
    socket.off('readable', look).off('end', onEnd).off('close', onClose)
    waiting.abort()
    resolve(opening)
  }
  socket.on('error', onError).on('readable', look).on('end', onEnd).on('close', onClose)
  clock.sleep(timeoutMs, waiting.signal).then(
    () => settle('silence'),
    () => {},
  )
  const opening = await promise
  socket.off('error', onError)
  return opening
}
