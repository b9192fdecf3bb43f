/** The models of one memory and the processes behind them: does what the lifecycle decides, and tells it what became of it. */
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import { type ErrorRecord, fromErrorRecord } from '#contract/errors'
import { makeLocalModel } from '#platform/registry/local-model'
import type { ReplicaOptions, ReplicaState } from '#platform/replicas/replica'
import { DEFAULT_RESTART_POLICY, type RestartPolicy } from '#platform/replicas/restart-policy'
import type { ColdStartPhase } from '#telemetry/metrics'
import { ColdStart } from './cold-start.ts'
import { Lifecycle, type LifecycleObserver, type LifecycleOptions } from './lifecycle.ts'
import { heldBytes, type ModelPhase, type ModelRow } from './model-row.ts'
import { PooledModel, type PooledModelTerms } from './pooled-model.ts'
import { type AskPlan, SurveyLine } from './survey-line.ts'

/** Must not throw. */
export interface PoolObserver extends LifecycleObserver {
  onColdStart(model: string, phase: ColdStartPhase, durationMs: number): void
}

export interface ModelPoolParts {
  readonly options: LifecycleOptions
  readonly askPlan: AskPlan
  readonly clock: Clock
  readonly observer: PoolObserver
}

export interface PoolFigures {
  readonly budgetBytes: number
  readonly usedBytes: number
  readonly numHeld: number
  readonly numByPhase: Readonly<Record<ModelPhase, number>>
}

/** A worker that never gets ready is given up soon: somebody waits. */
const RESTART_POLICY: RestartPolicy = { ...DEFAULT_RESTART_POLICY, maxCrashes: 3 }

export class ModelPool {
  private readonly parts: ModelPoolParts
  private readonly models = new Map<ModelRow, PooledModel>()
  private readonly surveys: SurveyLine
  private readonly lifecycle: Lifecycle
  /** Told when a model that was let go of is gone. */
  private readonly leaving = new Map<ModelRow, () => void>()
  private readonly closing = new AbortController()

  constructor(parts: ModelPoolParts) {
    const { options, clock, observer, askPlan } = parts
    this.parts = parts
    this.surveys = new SurveyLine(askPlan)
    this.lifecycle = new Lifecycle(options, { clock, observer, start: (row) => this.startWorkers(row), stop: (row) => void this.endWorkers(row) })
  }

  get figures(): PoolFigures {
    const numByPhase: Record<ModelPhase, number> = { cold: 0, starting: 0, ready: 0, draining: 0, stopping: 0 }
    let usedBytes = 0
    let numHeld = 0
    for (const row of this.models.keys()) {
      numByPhase[row.phase]++
      usedBytes += heldBytes(row)
      numHeld += row.numHeld
    }
    return { budgetBytes: this.lifecycle.budgetBytes, usedBytes, numHeld, numByPhase }
  }

  /** What models that are to stay may take together, beside those that stay already. */
  get unkeptBytes(): number {
    return this.lifecycle.unkeptBytes
  }

  /** Of models that are to stay and are not up yet. */
  get promisedBytes(): number {
    return this.lifecycle.promisedBytes
  }

  /** From now on it is kept up; its files are known. */
  wake(model: PooledModel): void {
    assert(model.row.wanted !== 'gone', 'what is let go of stays away')
    this.lifecycle.want(model.row, 'awake')
  }

  /** It is no longer kept up: it lasts while it is called, and others may have its memory. */
  letSleep(model: PooledModel): void {
    this.lifecycle.want(model.row, 'on-demand')
  }

  /** Takes no new calls; resolves when those that run have ended and its processes are gone. Its name is free then. */
  remove({ row }: PooledModel): Promise<void> {
    if (this.closing.signal.aborted) return Promise.resolve()
    const gone = Promise.withResolvers<void>()
    this.leaving.set(row, gone.resolve)
    this.lifecycle.want(row, 'gone')
    this.forgetIfGone(row)
    return gone.promise
  }

  /** The name must be free. No process starts before somebody calls, or `start`. */
  add(terms: PooledModelTerms): PooledModel {
    const { name, unit: label = null, wanted, isPinned, idleTimeoutMs } = terms
    const row = this.lifecycle.register({ name, label, wanted, isPinned, idleTimeoutMs, needBytes: null })
    const { lifecycle, surveys } = this
    const { clock, observer } = this.parts
    const onProblem = (model: string, problem: ErrorRecord): void => observer.onProblem(model, problem)
    const model = new PooledModel({ terms, row, lifecycle, surveys, clock, onProblem })
    this.models.set(row, model)
    return model
  }

  /** Reads the files of those that are to be known early; models that are always on start as soon as theirs are. */
  start(): void {
    for (const model of this.models.values()) {
      if (model.terms.isSurveyedAtStart) void model.survey(this.closing.signal, { isUrgent: false }).catch(() => {})
    }
  }

  /** Refuses who is held and ends every worker. */
  async stop(): Promise<void> {
    this.closing.abort()
    this.lifecycle.close()
    const members = [...this.models.values()].flatMap(({ local }) => local?.members ?? [])
    await Promise.all(members.map(({ replica }) => replica.stop()))
    for (const tell of this.leaving.values()) tell()
  }

  checkInvariants(): void {
    this.lifecycle.checkInvariants()
    for (const [row, { local }] of this.models) assert(row.phase !== 'cold' || local === null, `${row.name}: what is cold has no workers`)
    for (const row of this.leaving.keys()) assert(this.models.has(row) && row.wanted === 'gone', `${row.name}: who is waited for is still there`)
  }

  private startWorkers(row: ModelRow): void {
    const model = this.modelOf(row)
    const { clock, observer } = this.parts
    const nowMs = clock.nowMs()
    const tell = (phase: ColdStartPhase, durationMs: number): void => observer.onColdStart(row.label, phase, durationMs)
    model.coldStart = new ColdStart({ wokenMs: model.wokenMs ?? row.oldestHeldMs ?? nowMs, tell })
    model.wokenMs = null
    model.coldStart.end('wait', nowMs)
    const options = model.terms.replicasOf(model.engine).map((one) => this.watched(model, one))
    const local = makeLocalModel(row.name, options, { isMember: model.terms.unit !== undefined })
    model.local = local
    try {
      for (const { replica } of local.members) replica.start()
    } catch (error) {
      this.lifecycle.failed(row, error)
    }
  }

  private async endWorkers(row: ModelRow): Promise<void> {
    const model = this.modelOf(row)
    await Promise.all((model.local?.members ?? []).map(({ replica }) => replica.stop()))
    model.local = null
    this.lifecycle.stopped(row)
    this.forgetIfGone(row)
  }

  private forgetIfGone(row: ModelRow): void {
    const tell = this.leaving.get(row)
    if (tell === undefined || row.phase !== 'cold') return
    this.leaving.delete(row)
    this.lifecycle.forget(row)
    this.models.delete(row)
    tell()
  }

  private watched(model: PooledModel, options: ReplicaOptions): ReplicaOptions {
    const onStateChange = (state: ReplicaState): void => {
      options.onStateChange?.(state)
      this.onWorker(model, state)
    }
    return { ...options, restartPolicy: RESTART_POLICY, onStateChange }
  }

  /** A set of workers is ready while one is, and failed when all are. */
  private onWorker({ row, local, coldStart }: PooledModel, state: ReplicaState): void {
    if (local === null) return
    const nowMs = this.parts.clock.nowMs()
    // The first word of a process; what a replica says of itself before it has one is no progress.
    if (state.kind === 'starting' && local.members.every(({ replica }) => replica.workerPid !== null)) coldStart?.end('spawn', nowMs)
    const now = local.served.state
    if (now.kind === 'ready') {
      coldStart?.end('load', nowMs)
      this.lifecycle.ready(row)
    }
    if (now.kind === 'loading') this.lifecycle.restarting(row)
    if (now.kind === 'failed') this.lifecycle.failed(row, fromErrorRecord(now.error))
  }

  private modelOf(row: ModelRow): PooledModel {
    const model = this.models.get(row)
    assert(model !== undefined, 'every row has its model')
    return model
  }
}
