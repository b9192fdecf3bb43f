/**
 * One worker process and the calls that run in it. Owner of the replica's life:
 *
 *   starting -> ready -> stopping -> stopped
 *      ^          |
 *      |          +-> ending   (broken or hung: being killed)
 *      |          |     |
 *      +-- waiting <----+      (ended: back-off, then a new process)
 *   starting -> failed         (the model cannot be loaded, or no worker ever gets ready)
 *
 * A worker that dies fails its own calls with `replica_lost` and nobody else's.
 */
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import { fromErrorRecord, InferdError, toErrorRecord, type ErrorRecord } from '#contract/errors'
import type { CountRequest, EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, ModelFacts, SamplingChange } from '#contract/generate'
import type { EngineOptions, EngineStats } from '#engine/engine'
import { CallTable } from './call-table.ts'
import type { CallId, FromWorker } from './messages.ts'
import { decideRestart, DEFAULT_RESTART_POLICY, type RestartPolicy } from './restart-policy.ts'
import type { SpawnWorker, WorkerProcess } from './worker-process.ts'

export type ReplicaState =
  | { readonly kind: 'starting'; readonly loadedBytes: number; readonly totalBytes: number }
  | { readonly kind: 'ready'; readonly facts: ModelFacts }
  | { readonly kind: 'ending'; readonly reason: string }
  | { readonly kind: 'waiting'; readonly reason: string; readonly retryAfterMs: number }
  | { readonly kind: 'failed'; readonly error: ErrorRecord }
  | { readonly kind: 'stopping' }
  | { readonly kind: 'stopped' }

export interface ReplicaOptions {
  readonly engine: EngineOptions
  readonly spawn: SpawnWorker
  readonly clock: Clock
  readonly restartPolicy?: RestartPolicy
  /** How long a ready worker may leave a probe unanswered before it is killed as hung. */
  readonly hangTimeoutMs?: number
  readonly onStateChange?: (state: ReplicaState) => void
}

const PROBE_INTERVAL_MS = 5_000
const DEFAULT_HANG_TIMEOUT_MS = 60_000
/** Longest orderly end of a worker; after that it is killed. */
const CLOSE_TIMEOUT_MS = 5_000

export class Replica {
  private readonly options: ReplicaOptions
  private readonly calls = new CallTable()
  private readonly generating = new WeakMap<GenerateRequest, CallId>()
  private readonly stateWaiters = new Set<() => void>()
  private current: ReplicaState = { kind: 'stopped' }
  private worker: WorkerProcess | null = null
  private numCrashes = 0
  private hasServed = false
  /** When the current worker got ready; null before that. */
  private readySinceMs: number | null = null
  private readonly lifetime = new AbortController()

  constructor(options: ReplicaOptions) {
    this.options = options
  }

  get state(): ReplicaState {
    return this.current
  }

  /** Process id of the worker, while there is one. For the operator and for tests that kill it. */
  get workerPid(): number | null {
    return this.worker?.pid ?? null
  }

  get numCalls(): number {
    return this.calls.size
  }

  /** Spawns the worker; does not wait for it. */
  start(): void {
    assert(this.current.kind === 'stopped' || this.current.kind === 'waiting', `cannot start a ${this.current.kind} replica`)
    this.readySinceMs = null
    this.setState({ kind: 'starting', loadedBytes: 0, totalBytes: 0 })
    const worker: WorkerProcess = this.options.spawn({
      onMessage: (message) => this.onMessage(message),
      onExit: (reason) => this.onExit(reason),
    })
    this.worker = worker
    worker.send({ type: 'load', options: this.options.engine })
  }

  /** Resolves when ready; rejects when it has failed, stops, or the signal aborts. */
  async whenReady(signal: AbortSignal): Promise<void> {
    while (this.current.kind !== 'ready') {
      if (this.current.kind === 'failed') throw fromErrorRecord(this.current.error)
      if (this.current.kind === 'stopping' || this.current.kind === 'stopped') throw new InferdError('shutting_down', 'the server is shutting down')
      await this.stateChange(signal)
    }
  }

  /** The events of one request. Errors before the first event are thrown; a worker lost later ends the stream with `response-error`. */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterableIterator<GenerateEvent> {
    const worker = this.readyWorker()
    const sendAbort = (aborted: CallId): void => this.worker?.send({ type: 'abort', call: aborted })
    const { call, queue } = this.calls.openStream({ signal, sendAbort, numChoices: request.numChoices })
    worker.send({ type: 'generate', call, request })
    this.generating.set(request, call)
    return queue
  }

  /** Samples this request otherwise from its next token on. False: it does not run here. */
  adjust(request: GenerateRequest, change: SamplingChange): boolean {
    const call = this.generating.get(request)
    if (call === undefined || this.worker === null || !this.calls.has(call)) return false
    this.worker.send({ type: 'adjust', call, change })
    return true
  }

  async countTokens(request: CountRequest, signal: AbortSignal): Promise<number> {
    const worker = this.readyWorker()
    const { call, answer } = this.calls.openCall<number>(signal, (aborted) => this.worker?.send({ type: 'abort', call: aborted }))
    worker.send({ type: 'count', call, request })
    return answer
  }

  async embed(request: EmbedRequest, signal: AbortSignal, onStart?: () => void): Promise<EmbedResult> {
    const worker = this.readyWorker()
    const { call, answer } = this.calls.openCall<EmbedResult>(signal, (aborted) => this.worker?.send({ type: 'abort', call: aborted }))
    worker.send({ type: 'embed', call, request })
    onStart?.()
    return answer
  }

  /** Asks the step loop; resolves with the engine's figures. */
  async probe(signal: AbortSignal): Promise<EngineStats> {
    const worker = this.readyWorker()
    const { call, answer } = this.calls.openCall<EngineStats>(signal, () => {})
    worker.send({ type: 'probe', call })
    return answer
  }

  /** Ends every call with `shutting_down`, then the worker. Resolves when the process is gone. */
  async stop(): Promise<void> {
    if (this.current.kind === 'stopped') return
    this.lifetime.abort()
    if (this.worker === null) return this.setState({ kind: 'stopped' })
    this.setState({ kind: 'stopping' })
    this.worker.send({ type: 'close' })
    const patience = new AbortController()
    void this.options.clock.sleep(CLOSE_TIMEOUT_MS, patience.signal).then(
      () => this.worker?.kill(),
      () => {},
    )
    while (this.worker !== null) await this.stateChange()
    patience.abort()
  }

  private onMessage(message: FromWorker): void {
    switch (message.type) {
      case 'progress':
        if (this.current.kind === 'starting') this.setState({ kind: 'starting', loadedBytes: message.loadedBytes, totalBytes: message.totalBytes })
        return
      case 'ready':
        if (this.current.kind !== 'starting') return
        this.hasServed = true
        this.readySinceMs = this.options.clock.nowMs()
        this.setState({ kind: 'ready', facts: message.facts })
        void this.watch()
        return
      case 'load-failed':
        if (this.current.kind !== 'starting') return
        this.setState({ kind: 'failed', error: message.error })
        this.worker?.kill()
        return
      case 'broken':
        this.endWorker(message.reason)
        return
      case 'events':
        message.events.forEach((event, index) => this.calls.deliver(message.calls[index]!, event))
        return
      case 'aborted':
        this.calls.endAborted(message.call, message.usage)
        return
      case 'rejected':
        this.calls.fail(message.call, fromErrorRecord(message.error))
        return
      case 'embedded':
        this.calls.answer(message.call, message.result)
        return
      case 'counted':
        this.calls.answer(message.call, message.numTokens)
        return
      case 'probed':
        this.calls.answer(message.call, message.stats)
    }
  }

  private onExit(exitReason: string): void {
    const state = this.current
    const reason = state.kind === 'ending' ? state.reason : exitReason
    this.worker = null
    const error =
      state.kind === 'stopping'
        ? new InferdError('shutting_down', 'the server is shutting down')
        : new InferdError('replica_lost', 'the model worker was lost')
    this.calls.failAll(error)
    if (state.kind === 'failed') return
    if (state.kind === 'stopping') return this.setState({ kind: 'stopped' })
    const servedMs = this.readySinceMs === null ? 0 : this.options.clock.nowMs() - this.readySinceMs
    const { numCrashes, delayMs } = decideRestart(this.options.restartPolicy ?? DEFAULT_RESTART_POLICY, {
      numCrashesBefore: this.numCrashes,
      servedMs,
      hasServed: this.hasServed,
    })
    this.numCrashes = numCrashes
    if (delayMs === null) {
      const record = toErrorRecord(
        new InferdError('replica_lost', `the model worker ended ${numCrashes} times in a row (last: ${reason}) and is not started again`),
      )
      return this.setState({ kind: 'failed', error: record })
    }
    this.setState({ kind: 'waiting', reason, retryAfterMs: delayMs })
    void this.restartAfter(delayMs)
  }

  private async restartAfter(delayMs: number): Promise<void> {
    try {
      await this.options.clock.sleep(delayMs, this.lifetime.signal)
    } catch {
      return // stop() came first
    }
    if (this.current.kind === 'waiting') this.start()
  }

  /** Probes a ready worker for as long as it lives, and kills it when its step loop no longer answers. */
  private async watch(): Promise<void> {
    const { worker } = this
    const hangTimeoutMs = this.options.hangTimeoutMs ?? DEFAULT_HANG_TIMEOUT_MS
    while (this.worker === worker && this.current.kind === 'ready') {
      const deadline = new AbortController()
      const timer = this.options.clock.sleep(hangTimeoutMs, deadline.signal).then(
        () => this.worker === worker && this.endWorker(`no answer from its step loop for ${hangTimeoutMs} ms`),
        () => {},
      )
      await this.probe(this.lifetime.signal).catch(() => {})
      deadline.abort()
      await timer
      await this.options.clock.sleep(PROBE_INTERVAL_MS, this.lifetime.signal).catch(() => {})
    }
  }

  /** Kills the worker; nothing is sent to it any more, and its calls fail when it is gone. */
  private endWorker(reason: string): void {
    if (this.current.kind === 'ready') this.setState({ kind: 'ending', reason })
    this.worker?.kill()
  }

  private readyWorker(): WorkerProcess {
    if (this.current.kind !== 'ready' || this.worker === null) throw new InferdError('replica_lost', 'the model worker is not running')
    return this.worker
  }

  private setState(state: ReplicaState): void {
    this.current = state
    this.options.onStateChange?.(state)
    const waiters = [...this.stateWaiters]
    this.stateWaiters.clear()
    for (const wake of waiters) wake()
  }

  private stateChange(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error)
      const onAbort = (): void => {
        this.stateWaiters.delete(wake)
        reject(signal?.reason as Error)
      }
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.stateWaiters.add(wake)
    })
  }
}
