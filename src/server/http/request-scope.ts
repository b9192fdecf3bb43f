/**
 * One request from its headers to the end of its answer: its id and the signal that ends its work. The signal aborts, with an
 * InferdError as reason, when the client goes away, when the deadline passes or when the server stops.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { Principal } from '#contract/principal'
import { cutAnswer, isComplete } from './answer-stream.ts'
import type { IncomingBody } from './incoming-body.ts'

/** A reason of its own: the default one is an exception with a stack, made for each request. */
const FINISHED = new InferdError('cancelled', 'the request has ended')

interface Caller {
  readonly principal: Principal
  readonly isBatch: boolean
}

export class RequestScope {
  readonly id: string
  readonly signal: AbortSignal
  /** Monotonic. */
  readonly arrivedMs: number
  readonly body: IncomingBody
  private caller: Caller | null = null
  private readonly controller = new AbortController()
  private readonly finished = new AbortController()

  constructor({ id, arrivedMs, body }: { readonly id: string; readonly arrivedMs: number; readonly body: IncomingBody }) {
    this.id = id
    this.arrivedMs = arrivedMs
    this.body = body
    this.signal = this.controller.signal
  }

  /** Who asks. Known once the door has let the request in. */
  get principal(): Principal {
    assert(this.caller !== null, 'a route is answered before its caller is known')
    return this.caller.principal
  }

  /** True: a record of a batch. Only a call without a connection is one. */
  get isBatch(): boolean {
    return this.caller?.isBatch ?? false
  }

  admit({ principal, isBatch }: Caller): void {
    this.caller = { principal, isBatch }
  }

  abort(reason: InferdError): void {
    this.controller.abort(reason)
  }

  /** Stops the timers; the signal stays as it is. */
  finish(): void {
    this.finished.abort(FINISHED)
  }

  /** Closes the connection when its answer has not left `timeoutMs` after an abort: nobody reads it. */
  cutAfterAbort(response: ServerResponse, clock: Clock, timeoutMs: number): void {
    const cut = (): void => {
      clock.sleep(timeoutMs, this.finished.signal).then(
        () => cutAnswer(response),
        () => {},
      )
    }
    this.signal.addEventListener('abort', cut, { once: true })
  }

  startDeadline(clock: Clock, timeoutMs: number): void {
    clock.sleep(timeoutMs, this.finished.signal).then(
      () => this.abort(new InferdError('deadline_exceeded', `the request took longer than ${timeoutMs} ms`)),
      () => {},
    )
  }

  /** `work`, or the abort reason as a rejection as soon as the signal aborts; then `work` is left to notice by itself. */
  race<T>(work: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const onAbort = (): void => reject(this.signal.reason as InferdError)
    if (this.signal.aborted) onAbort()
    this.signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => this.signal.removeEventListener('abort', onAbort))
    return promise
  }
}

/** The requests that are being answered: what a drain waits for. */
export class RunningRequests {
  private readonly scopes = new Map<IncomingMessage, RequestScope>()
  private idle: (() => void) | null = null

  get count(): number {
    return this.scopes.size
  }

  /** Opens a scope that ends when the response closes, finished or not. */
  open(request: IncomingMessage, response: ServerResponse, scope: RequestScope): void {
    this.scopes.set(request, scope)
    response.once('close', () => {
      if (!isComplete(response)) scope.abort(new InferdError('cancelled', 'the client closed the connection'))
      scope.finish()
      this.scopes.delete(request)
      if (this.scopes.size === 0) this.idle?.()
    })
  }

  scopeOf(request: IncomingMessage): RequestScope | null {
    return this.scopes.get(request) ?? null
  }

  abortAll(reason: InferdError): void {
    for (const scope of this.scopes.values()) scope.abort(reason)
  }

  /** Resolves when no request runs. */
  whenIdle(): Promise<void> {
    if (this.scopes.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.idle = resolve
    })
  }
}
