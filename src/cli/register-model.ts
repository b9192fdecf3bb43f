/** How a model's workers are run, and what the operator is told of their life. */
import path from 'node:path'
import { systemClock } from '#base/clock'
import type { ServerConfig } from '#config/schema'
import type { EngineOptions } from '#engine/engine'
import type { ReplicaOptions, ReplicaState } from '#platform/replicas/replica'
import type { SpawnWorker } from '#platform/replicas/worker-process'
import type { Log } from '#telemetry/log'
import { ProgressBar } from './progress-bar.ts'

export interface WorkerTerms {
  readonly name: string
  readonly path: string
  readonly replicas: number
}

/** Told of each start of a worker. */
export interface ModelWatch {
  onReady(model: string, startMs: number): void
  onFailed(): void
}

export interface ReplicaOptionsParts {
  readonly model: WorkerTerms
  readonly server: Pick<ServerConfig, 'hangS'>
  readonly log: Log
  readonly watch: ModelWatch
  readonly spawn: SpawnWorker
}

/** One entry for each replica. */
export function replicaOptions(engine: EngineOptions, { model, server, log, watch, spawn }: ReplicaOptionsParts): readonly ReplicaOptions[] {
  const bar = new ProgressBar(`loading ${model.name}`)
  const replica = (): ReplicaOptions => {
    let startedMs: number | null = null
    return {
      engine,
      hangTimeoutMs: server.hangS * 1000,
      spawn,
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
  return Array.from({ length: model.replicas }, replica)
}

function report(model: WorkerTerms, state: ReplicaState, bar: ProgressBar, log: Log): void {
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
