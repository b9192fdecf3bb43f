/**
 * The worker's side of the pipe: turns messages into engine calls and engine events into messages. Knows no process and no
 * file, so tests run it on a fake engine and a list.
 */
import { assert } from '#base/assert'
import { InferdError, toErrorRecord } from '#contract/errors'
import type { CountRequest, EmbedRequest, GenerateEvent, GenerateRequest, SamplingChange, Usage } from '#contract/generate'
import { promptLength, requestLength, type Engine, type EngineOptions, type EnginePlan } from '#engine/engine'
import type { LoadHooks } from '#engine/load-engine'
import { EncodeQueue, MAX_IMMEDIATE_LENGTH } from './encode-queue.ts'
import type { CallId, FromWorker, ToWorker } from './messages.ts'

export interface WorkerSessionPorts {
  readonly send: (message: FromWorker) => void
  readonly loadEngine: (options: EngineOptions, hooks: LoadHooks) => Promise<Engine>
  readonly planEngine: (options: EngineOptions, freeBytes: number) => Promise<EnginePlan>
  /** Runs `task` after the engine's current step has delivered all its events. */
  readonly defer: (task: () => void) => void
  /** The engine is gone and the process may end. */
  readonly onClosed: () => void
  /** A bug of ours, for the operator: the wire never tells more than `internal`. */
  readonly onBug: (error: unknown) => void
}

export class WorkerSession {
  private readonly ports: WorkerSessionPorts
  private readonly aborts = new Map<CallId, () => void>()
  /** Of generations that run. */
  private readonly adjusts = new Map<CallId, (change: SamplingChange) => void>()
  private engine: Engine | null = null
  private calls: CallId[] = []
  private events: GenerateEvent[] = []
  private loading: Promise<void> = Promise.resolve()
  private readonly closing = new AbortController()
  private readonly encodeQueue = new EncodeQueue()

  constructor(ports: WorkerSessionPorts) {
    this.ports = ports
  }

  /** Never throws: what goes wrong with a call is answered to that call. */
  handle(message: ToWorker): void {
    switch (message.type) {
      case 'load':
        this.encodeQueue.limit(message.options.maxWaitingRequests)
        this.loading = this.load(message.options)
        return
      case 'plan':
        void this.plan(message.options, message.freeBytes)
        return
      case 'generate':
        this.inTurn(message.call, requestLength(message.request), () => this.generate(message.call, message.request))
        return
      case 'embed':
        this.inTurn(
          message.call,
          message.request.inputs.reduce((sum, input) => sum + promptLength(input), 0),
          () => void this.embed(message.call, message.request),
        )
        return
      case 'count':
        this.inTurn(message.call, requestLength(message.request), () => this.count(message.call, message.request))
        return
      case 'probe':
        void this.probe(message.call)
        return
      case 'adjust':
        this.adjusts.get(message.call)?.(message.change)
        return
      case 'abort':
        this.aborts.get(message.call)?.()
        this.forget(message.call)
        return
      case 'close':
        void this.close()
    }
  }

  private async load(options: EngineOptions): Promise<void> {
    try {
      const engine = await this.ports.loadEngine(options, {
        onProgress: (loadedBytes, totalBytes) => this.ports.send({ type: 'progress', loadedBytes, totalBytes }),
        onBroken: (error) => this.breakDown(error),
        onSinkFailure: (error) => this.ports.onBug(error),
        onKeepFailure: (error) => this.ports.onBug(error),
        signal: this.closing.signal,
      })
      this.engine = engine
      if (this.closing.signal.aborted) return
      this.ports.send({ type: 'ready', facts: engine.facts })
    } catch (error) {
      if (this.closing.signal.aborted) return
      this.tellBug(error)
      this.ports.send({ type: 'load-failed', error: toErrorRecord(error) })
    }
  }

  private async plan(options: EngineOptions, freeBytes: number): Promise<void> {
    try {
      this.ports.send({ type: 'planned', plan: await this.ports.planEngine(options, freeBytes) })
    } catch (error) {
      this.tellBug(error)
      this.ports.send({ type: 'load-failed', error: toErrorRecord(error) })
    }
  }

  /** Starts the call at once, or when the long prompts before it have been encoded. */
  private inTurn(call: CallId, length: number, start: () => void): void {
    if (length <= MAX_IMMEDIATE_LENGTH) return start()
    try {
      this.encodeQueue.add(call, { length, start })
      this.aborts.set(call, () => this.encodeQueue.remove(call))
    } catch (error) {
      this.reject(call, error)
    }
  }

  private generate(call: CallId, request: GenerateRequest): void {
    try {
      const onAborted = (usage: Usage): void => this.ports.send({ type: 'aborted', call, usage })
      const handle = this.loaded().start(request, (event) => this.emit(call, event), onAborted)
      this.aborts.set(call, () => handle.abort())
      this.adjusts.set(call, (change) => handle.adjust(change))
    } catch (error) {
      this.aborts.delete(call)
      this.reject(call, error)
    }
  }

  private async embed(call: CallId, request: EmbedRequest): Promise<void> {
    const controller = new AbortController()
    this.aborts.set(call, () => controller.abort())
    try {
      const result = await this.loaded().embed(request, controller.signal)
      this.ports.send({ type: 'embedded', call, result })
    } catch (error) {
      if (!controller.signal.aborted) this.reject(call, error)
    } finally {
      this.aborts.delete(call)
    }
  }

  private count(call: CallId, request: CountRequest): void {
    this.aborts.delete(call)
    try {
      this.ports.send({ type: 'counted', call, numTokens: this.loaded().countTokens(request) })
    } catch (error) {
      this.reject(call, error)
    }
  }

  private async probe(call: CallId): Promise<void> {
    try {
      const engine = this.loaded()
      await engine.probe(new AbortController().signal)
      this.ports.send({ type: 'probed', call, stats: engine.stats() })
    } catch (error) {
      this.reject(call, error)
    }
  }

  private async close(): Promise<void> {
    if (this.closing.signal.aborted) return
    const reason = new InferdError('shutting_down', 'the server is shutting down')
    this.closing.abort(reason)
    for (const call of this.encodeQueue.takeAll()) {
      this.aborts.delete(call)
      this.reject(call, reason)
    }
    await this.loading
    await this.engine?.close()
    this.flush()
    this.ports.onClosed()
  }

  private breakDown(error: unknown): void {
    this.tellBug(error)
    this.flush()
    this.ports.send({ type: 'broken', reason: error instanceof Error ? error.message : String(error) })
  }

  private forget(call: CallId): void {
    this.aborts.delete(call)
    this.adjusts.delete(call)
  }

  private emit(call: CallId, event: GenerateEvent): void {
    if (event.type === 'response-end' || event.type === 'response-error') this.forget(call)
    this.calls.push(call)
    this.events.push(event)
    if (this.events.length === 1) this.ports.defer(() => this.flush())
  }

  private flush(): void {
    if (this.events.length === 0) return
    this.ports.send({ type: 'events', calls: this.calls, events: this.events })
    this.calls = []
    this.events = []
  }

  private reject(call: CallId, error: unknown): void {
    this.tellBug(error)
    this.ports.send({ type: 'rejected', call, error: toErrorRecord(error) })
  }

  /** Rejections and failures carry their own words; what is left is a bug. */
  private tellBug(error: unknown): void {
    if (!(error instanceof InferdError)) this.ports.onBug(error)
  }

  private loaded(): Engine {
    assert(this.engine !== null, 'the gateway sends calls only to a ready worker')
    return this.engine
  }
}
