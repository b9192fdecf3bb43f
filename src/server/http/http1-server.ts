/**
 * HTTP/1.1 below the framework: parser limits and time-outs, and the answers to what never becomes a request.
 * A client that closes its sending side is taken as gone: the answer it waits for would otherwise hold memory for nobody.
 */
import { createServer, type RequestListener, type Server, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { ErrorCode } from '#contract/errors'
import type { ProtocolFamily } from '#server/operation'
import type { ConnectionTable } from './connection-table.ts'
import type { ServerOptions } from './server-options.ts'

const REQUEST_TIMEOUT_SLACK_MS = 5000
const MIN_CHECK_INTERVAL_MS = 50

export interface Http1ServerArguments {
  readonly handler: RequestListener
  readonly options: ServerOptions
  readonly connections: ConnectionTable
  readonly family: ProtocolFamily
  readonly newId: (prefix: string) => string
}

/** Never listens itself: `port-server.ts` gives it its connections. */
export function createHttp1Server({ handler, options, connections, family, newId }: Http1ServerArguments): Server {
  const server = createServer({
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: options.headersTimeoutMs,
    // The body reader has its own, finer limits; this one holds for bodies that nobody reads.
    requestTimeout: options.headersTimeoutMs + options.bodyTimeoutMs + REQUEST_TIMEOUT_SLACK_MS,
    connectionsCheckingInterval: Math.max(MIN_CHECK_INTERVAL_MS, Math.min(1000, options.headersTimeoutMs / 4)),
    keepAliveTimeout: options.keepAliveTimeoutMs,
    noDelay: true,
    insecureHTTPParser: false,
    // The door refuses a missing Host in the family's own shape.
    requireHostHeader: false,
  })
  // 0 = none dropped silently; the door refuses too many.
  server.maxHeadersCount = 0
  server.on('request', (request, response) => connections.track(request.socket, response))
  server.on('request', handler)
  // RFC 9110, section 10.1.1: an unknown expectation may be ignored.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))
  const refuse = (socket: Socket, code: ErrorCode, message: string): void => {
    if (!socket.writable || connections.isAnswering(socket)) socket.destroy()
    else socket.end(rawRefusal({ family, code, message, requestId: newId('req') }), () => socket.destroy())
  }
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const refusal = refusalOf(error)
    if (refusal === null) socket.destroy()
    else refuse(socket, refusal.code, refusal.message)
  })
  server.on('connect', (_request, socket: Socket) => refuse(socket, 'method_not_allowed', 'this server is not a proxy'))
  // Starts the checks of the time-outs above, which a server that listens starts by itself.
  server.emit('listening')
  return server
}

/** null = nobody is there to be answered. */
function refusalOf({ code }: NodeJS.ErrnoException): { readonly code: ErrorCode; readonly message: string } | null {
  switch (code) {
    case 'ECONNRESET':
    case 'EPIPE':
      return null
    case 'HPE_HEADER_OVERFLOW':
      return { code: 'headers_too_large', message: 'the request headers are too large' }
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { code: 'payload_too_large', message: 'the chunk extensions of the body are too large' }
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 'request_timeout', message: 'the request arrived too slowly' }
    default:
      return { code: 'malformed_request', message: 'the request is not valid HTTP/1.1' }
  }
}

interface RawRefusal {
  readonly family: ProtocolFamily
  readonly code: ErrorCode
  readonly message: string
  readonly requestId: string
}

function rawRefusal({ family, code, message, requestId }: RawRefusal): string {
  const { status, headers, body } = family.encodeError({ code, message, param: null, retryAfterMs: null }, requestId)
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `x-request-id: ${requestId}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}
