/**
 * Calls without a connection: they enter where those from sockets enter, with a principal that is given instead of proved. Such a request
 * is known by the address of its socket, which of a real one is the kernel's to say: no header and no body makes a call one of these.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { assert } from '#base/assert'
import { InferdError } from '#contract/errors'
import type { RunWireCall, WireAnswer, WireCall } from '#contract/job'
import type { RunningRequests } from './request-scope.ts'

const ADDRESS_PREFIX = 'in-process call '
const FASTIFY_CLOSING = 'FST_ERR_REOPENED_CLOSE_SERVER'

interface OpenCall {
  readonly call: WireCall
  /** Once it is through the door. */
  request: IncomingMessage | null
}

export class WireCalls {
  private readonly app: FastifyInstance
  private readonly running: RunningRequests
  /** By the address of their socket. */
  private readonly open = new Map<string, OpenCall>()
  private numCalls = 0

  constructor(app: FastifyInstance, running: RunningRequests) {
    this.app = app
    this.running = running
  }

  get numOpen(): number {
    return this.open.size
  }

  /** null = the request came over a connection. */
  take(request: IncomingMessage, response: ServerResponse): WireCall | null {
    const found = this.open.get(request.socket.remoteAddress ?? '')
    if (found === undefined) return null
    found.request = request
    // It is gathered whole: there is no reader to wait for, and nobody would say that it has caught up.
    Object.defineProperties(response, { writableNeedDrain: { value: false }, writableLength: { value: 0 } })
    return found.call
  }

  readonly run: RunWireCall = async (call, signal) => {
    signal.throwIfAborted()
    const address = `${ADDRESS_PREFIX}${++this.numCalls}`
    const entry: OpenCall = { call, request: null }
    const { promise: aborted, reject } = Promise.withResolvers<never>()
    const onAbort = (): void => {
      const scope = entry.request === null ? null : this.running.scopeOf(entry.request)
      scope?.abort(asReason(signal.reason))
      reject(signal.reason as Error)
    }
    aborted.catch(() => {})
    signal.addEventListener('abort', onAbort, { once: true })
    this.open.set(address, entry)
    try {
      return await Promise.race([this.inject(call, address), aborted])
    } finally {
      this.open.delete(address)
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Throws shutting_down when the server does not route any more. */
  private async inject({ method, path, headers, body }: WireCall, remoteAddress: string): Promise<WireAnswer> {
    assert(/^\/(?!\/)/.test(path), 'a call without a connection has a path of this server')
    const payload = body.length === 0 ? {} : { payload: Buffer.from(body.buffer, body.byteOffset, body.byteLength) }
    const answer = this.app.inject({ method, url: path, headers: { ...headers }, remoteAddress, ...payload })
    const {
      statusCode,
      headers: answerHeaders,
      rawPayload,
    } = await answer.catch((cause: unknown) => {
      const isClosing = cause instanceof Error && 'code' in cause && cause.code === FASTIFY_CLOSING
      if (isClosing) throw new InferdError('shutting_down', 'the server is shutting down', { cause })
      throw new InferdError('internal', 'a call without a connection was cut', { cause })
    })
    return { status: statusCode, headers: textHeaders(answerHeaders), body: rawPayload }
  }
}

function asReason(reason: unknown): InferdError {
  return reason instanceof InferdError ? reason : new InferdError('cancelled', 'the call was taken back', { cause: reason })
}

function textHeaders(headers: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : String(value)]))
}
