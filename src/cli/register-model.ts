/** Models of this machine on their way to the registry, and what the operator is told of their life. */
import path from 'node:path'
import { systemClock } from '#base/clock'
import type { EngineConfig, ServerConfig } from '#config/schema'
import type { ModelEntry } from '#config/platform-file/models'
import type { ModelRegistry } from '#platform/registry/model-registry'
import type { ReplicaOptions, ReplicaState } from '#platform/replicas/replica'
import { spawnWorker } from '#platform/replicas/worker-process'
import type { Log } from '#telemetry/log'
import type { Metrics } from '#telemetry/metrics'
import { engineOptions } from './engine-options.ts'
import { ProgressBar } from './progress-bar.ts'

export interface ModelWatch {
  onReady(model: string, startMs: number): void
  onFailed(): void
}

export interface RegisterModel {
  readonly registry: ModelRegistry
  readonly model: ModelEntry
  readonly config: { readonly engine: EngineConfig; readonly server: ServerConfig }
  readonly log: Log
  readonly watch: ModelWatch
}

/** Its workers run when the registry is started. */
export function registerModel({ registry, model, config, log, watch }: RegisterModel): void {
  const bar = new ProgressBar(`loading ${model.name}`)
  const replica = (): ReplicaOptions => {
    let startedMs: number | null = null
    return {
      engine: engineOptions(model.path, config.engine),
      hangTimeoutMs: config.server.hangS * 1000,
      spawn: spawnWorker,
      clock: systemClock,
      onStateChange: (state) => {
        report(model, state, bar, log)
        if (state.kind === 'starting') startedMs ??= systemClock.nowMs()
        if (state.kind === 'failed') watch.onFailed()
        if (state.kind !== 'ready') return
        watch.onReady(model.name, systemClock.nowMs() - (startedMs ?? systemClock.nowMs()))
        startedMs = null
      },
    }
  }
  registry.register(model.name, Array.from({ length: model.replicas }, replica))
}

export interface WatchModels {
  readonly registry: ModelRegistry
  /** Resolves when the platform is open: a model may be ready before it. */
  readonly metrics: Promise<Metrics>
  readonly onAllFailed: () => void
}

/** Only a start can fail as a whole: a server that has served stays up and tells its callers. */
export function watchModels({ registry, metrics, onAllFailed }: WatchModels): ModelWatch {
  let hasServed = false
  return {
    onReady: (model, startMs) => {
      hasServed = true
      void metrics.then((known) => known.onColdStart(model, 'load', startMs))
    },
    onFailed: () => {
      if (!hasServed && registry.list().every(({ state }) => state.kind === 'failed')) onAllFailed()
    },
  }
}

function report(model: ModelEntry, state: ReplicaState, bar: ProgressBar, log: Log): void {
  const fields = { model: model.name }
  if (state.kind === 'starting') return bar.update(state.loadedBytes, state.totalBytes)
  bar.end()
  if (state.kind === 'ready') {
    log.info({ ...fields, ...state.facts }, 'model ready')
    if (state.facts.chatTemplateProblem !== null) log.warn({ ...fields, problem: state.facts.chatTemplateProblem }, 'chat requests will be refused')
  }
  if (state.kind === 'waiting') log.warn({ ...fields, reason: state.reason, retryAfterMs: state.retryAfterMs }, 'model worker ended; it starts again')
  if (state.kind === 'failed')
    log.error({ ...fields, path: path.basename(model.path), code: state.error.code, reason: state.error.message }, 'model failed')
}
