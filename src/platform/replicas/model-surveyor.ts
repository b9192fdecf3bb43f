/**
 * Asks a worker process of its own what models would be and take: their files are strangers, and the gateway reads none. One question at a
 * time; the process ends when nobody has asked for a while, and a file that kills it kills only its own question.
 */
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import { fromErrorRecord, InferdError } from '#contract/errors'
import type { EngineOptions, EnginePlan } from '#engine/engine'
import type { FromWorker } from './messages.ts'
import type { SpawnWorker, WorkerProcess } from './worker-process.ts'

export interface SurveyorOptions {
  readonly spawn: SpawnWorker
  readonly clock: Clock
  /** What weights and KV cache of one model may take. */
  readonly freeBytes: () => number
}

/** Headers are small; a file with a checksum beside it is read whole. */
const PLAN_TIMEOUT_MS = 120_000
const LINGER_MS = 10_000

export class ModelSurveyor {
  private readonly options: SurveyorOptions
  private worker: WorkerProcess | null = null
  private pending: { readonly resolve: (plan: EnginePlan) => void; readonly reject: (error: unknown) => void } | null = null
  private numAsked = 0
  private readonly closing = new AbortController()

  constructor(options: SurveyorOptions) {
    this.options = options
  }

  /** One at a time. Rejects with the engine's error, replica_lost, deadline_exceeded or shutting_down. */
  async plan(engine: EngineOptions): Promise<EnginePlan> {
    assert(this.pending === null, 'one survey at a time')
    if (this.closing.signal.aborted) throw new InferdError('shutting_down', 'the server is shutting down')
    this.numAsked++
    const { promise, resolve, reject } = Promise.withResolvers<EnginePlan>()
    this.pending = { resolve, reject }
    const worker = this.workerNow()
    worker.send({ type: 'plan', options: engine, freeBytes: this.options.freeBytes() })
    const settled = new AbortController()
    void this.options.clock.sleep(PLAN_TIMEOUT_MS, settled.signal).then(
      () => this.giveUp(worker),
      () => {},
    )
    try {
      return await promise
    } finally {
      settled.abort()
      this.pending = null
      void this.endWhenIdle(worker)
    }
  }

  close(): void {
    this.closing.abort(new InferdError('shutting_down', 'the server is shutting down'))
    this.pending?.reject(this.closing.signal.reason)
    this.worker?.kill()
  }

  private workerNow(): WorkerProcess {
    if (this.worker !== null) return this.worker
    const worker: WorkerProcess = this.options.spawn({
      onMessage: (message) => this.onMessage(message),
      onExit: (reason) => this.onExit(worker, reason),
    })
    this.worker = worker
    return worker
  }

  private onMessage(message: FromWorker): void {
    if (message.type === 'planned') this.pending?.resolve(message.plan)
    if (message.type === 'load-failed') this.pending?.reject(fromErrorRecord(message.error))
  }

  private onExit(worker: WorkerProcess, reason: string): void {
    if (this.worker !== worker) return
    this.worker = null
    this.pending?.reject(new InferdError('replica_lost', `the process that read the model's headers ended (${reason})`))
  }

  private giveUp(worker: WorkerProcess): void {
    this.pending?.reject(new InferdError('deadline_exceeded', `the model's headers could not be read in ${PLAN_TIMEOUT_MS / 1000} s`))
    worker.kill()
  }

  private async endWhenIdle(worker: WorkerProcess): Promise<void> {
    const { numAsked } = this
    await this.options.clock.sleep(LINGER_MS, this.closing.signal).catch(() => {})
    if (this.numAsked === numAsked && this.worker === worker) worker.kill()
  }
}
