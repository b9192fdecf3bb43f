/** The models of this machine: always on, or in the pool of those that come and go under one memory. Opened without a process. */
import path from 'node:path'
import { systemClock } from '#base/clock'
import type { PlatformFile } from '#config/platform-file'
import type { ModelEntry } from '#config/platform-file/models'
import type { DataConfig, EngineConfig, ServerConfig } from '#config/schema'
import { InferdError } from '#contract/errors'
import { DEFAULT_LIFECYCLE_OPTIONS } from '#platform/endpoints/lifecycle'
import { ModelPool, type PoolObserver } from '#platform/endpoints/model-pool'
import { PROCESS_BYTES } from '#platform/endpoints/pooled-model'
import type { Artifact } from '#platform/endpoints/pooled-unit'
import { PooledUnits } from '#platform/endpoints/pooled-units'
import type { EngineOptions } from '#engine/engine'
import { ModelRegistry } from '#platform/registry/model-registry'
import { ModelSurveyor } from '#platform/replicas/model-surveyor'
import { SpareWorkers } from '#platform/replicas/spare-workers'
import { type SpawnWorker, spawnWorker } from '#platform/replicas/worker-process'
import type { Log } from '#telemetry/log'
import type { Metrics } from '#telemetry/metrics'
import { ModelMetrics } from '#telemetry/model-metrics'
import { resolveDataDir } from './data-dir.ts'
import { engineOptions } from './engine-options.ts'
import { modelsOfFolder } from './model-folder.ts'
import { type ModelWatch, replicaOptions } from './register-model.ts'

/** About 15 ms of packing. */
const MIN_PACKED_BYTES = 64 * 2 ** 20

export interface OpenModelsParts {
  /** Of the command line and the file. */
  readonly entries: readonly ModelEntry[]
  readonly file: PlatformFile
  readonly config: { readonly engine: EngineConfig; readonly data: DataConfig; readonly server: ServerConfig }
  readonly log: Log
  /** Resolves when the platform is open; nothing is told before. */
  readonly metrics: Promise<Metrics>
  /** At the start, when no model has ever been ready. */
  readonly onAllFailed: () => void
}

export interface OpenModels {
  readonly registry: ModelRegistry
  /** The file with the concurrency that its models ask for. */
  readonly file: PlatformFile
  /** Names of those that never sleep. */
  readonly alwaysOn: ReadonlySet<string>
  /** Of deployments. */
  readonly units: PooledUnits
  /** Throws model_not_found for a name that the configuration does not have. */
  artifactOf(source: LocalSource): Artifact
  /** Once, when the server listens. */
  start(): void
  stop(): Promise<void>
}

/** served: a model of the configuration, by its name. file: one of this machine, by its path. */
export type LocalSource = ({ readonly kind: 'served'; readonly model: string } | { readonly kind: 'file'; readonly path: string }) & {
  readonly kvCacheMib: number | null
}

interface Placement {
  readonly model: ModelEntry
  readonly isListed: boolean
}

/** Throws invalid_parameter for folders that cannot be read, names that are taken and a budget without room for a model. */
export function openModels(parts: OpenModelsParts): OpenModels {
  const { entries, file, config, log } = parts
  const registry = new ModelRegistry()
  const placements = [...entries.map((model) => ({ model, isListed: true })), ...folderPlacements(file)]
  const hasPool = file.modelMemory.budgetMib !== undefined || placements.some(({ model }) => model.minReplicas === 0)
  const watch = watchModels(parts, registry)
  const pool = openPool(parts, placements, watch)
  for (const placement of placements) {
    const { model } = placement
    if (hasPool) addToPool({ parts, registry, pool, watch }, placement)
    else registry.register(model.name, replicaOptions(engineOf(model, config), { model, server: config.server, log, watch, spawn: spawnWorker }))
  }
  return {
    registry,
    file: withConcurrency(file, placements),
    alwaysOn: namesAlwaysOn(placements),
    units: new PooledUnits({ pool: pool.models, registry, availableBytes: () => process.availableMemory(), clock: systemClock }),
    artifactOf: (source) => artifactOf(source, placements, { parts, spawn: pool.spares.spawn }),
    start: () => {
      registry.start()
      pool.spares.start()
      pool.models.start()
    },
    stop: async () => {
      pool.surveyor.close()
      pool.spares.close()
      await Promise.all([registry.stop(), pool.models.stop()])
    },
  }
}

function folderPlacements({ modelFolders }: PlatformFile): readonly Placement[] {
  return modelFolders.flatMap(({ path, prefix, ...terms }) =>
    modelsOfFolder(path, prefix).map((found) => ({ model: { ...found, ...terms, replicas: 1, minReplicas: 0, pin: false }, isListed: false })),
  )
}

function namesAlwaysOn(placements: readonly Placement[]): ReadonlySet<string> {
  return new Set(placements.flatMap(({ model }) => (model.minReplicas === 0 ? [] : [model.name])))
}

interface Pool {
  readonly models: ModelPool
  readonly surveyor: ModelSurveyor
  readonly spares: SpareWorkers
}

function openPool({ file, log, metrics }: OpenModelsParts, placements: readonly Placement[], watch: ModelWatch): Pool {
  const { budgetMib, holdS, maxHeldCalls, fairWaitS, spareWorkers } = file.modelMemory
  const budgetBytes = budgetMib === undefined ? Infinity : budgetMib * 2 ** 20 - spareWorkers * PROCESS_BYTES
  if (budgetBytes <= 0)
    throw new InferdError('invalid_parameter', `modelMemory: ${spareWorkers} spare workers take all of the budget of ${budgetMib} MiB`, {
      param: '--config',
    })
  const surveyor = new ModelSurveyor({ spawn: spawnWorker, clock: systemClock, freeBytes: () => Math.min(process.availableMemory(), budgetBytes) })
  const figures = (): ModelPool['figures'] => models.figures
  const counts = metrics.then((known) => new ModelMetrics({ registry: known.registry, maxLabelValues: file.telemetry.maxLabelValues, figures }))
  const alwaysOn = namesAlwaysOn(placements)
  const observer: PoolObserver = {
    onCall: (model, found) => void counts.then((known) => known.onCall(model, found)),
    onStop: (model, reason) => {
      log.info({ model, reason }, 'model put to sleep')
      void counts.then((known) => known.onStop(model, reason))
    },
    onProblem: (model, { code, message }) => {
      log.error({ model, code, reason: message }, 'model could not be started')
      void counts.then((known) => known.onProblem(model, code))
      if (alwaysOn.has(model)) watch.onFailed()
    },
    onColdStart: (model, phase, durationMs) => {
      if (phase === 'load') void counts.then((known) => known.onLoad(model))
      void metrics.then((known) => known.onColdStart(model, phase, durationMs))
    },
  }
  const options = { ...DEFAULT_LIFECYCLE_OPTIONS, budgetBytes, holdMs: holdS * 1000, maxHeldCalls, fairWaitMs: fairWaitS * 1000 }
  const models = new ModelPool({ options, askPlan: (engine) => surveyor.plan(engine), clock: systemClock, observer })
  const spares = new SpareWorkers({ numSpare: spareWorkers, spawn: spawnWorker, clock: systemClock })
  return { models, surveyor, spares }
}

interface PoolPlace {
  readonly parts: OpenModelsParts
  readonly registry: ModelRegistry
  readonly pool: Pool
  readonly watch: ModelWatch
}

function addToPool({ parts: { config, log }, registry, pool: { models, spares }, watch }: PoolPlace, { model, isListed }: Placement): void {
  registry.requireFree(model.name)
  // The pool measures starts itself, by phase.
  const ownWatch: ModelWatch = { onReady: (name) => watch.onReady(name, 0), onFailed: () => {} }
  const served = models.add({
    name: model.name,
    engine: engineOf(model, config),
    numReplicas: model.replicas,
    wanted: model.minReplicas === 0 ? 'on-demand' : 'awake',
    isPinned: model.pin,
    idleTimeoutMs: model.idleTimeoutS * 1000,
    isSurveyedAtStart: isListed,
    replicasOf: (engine) => replicaOptions(engine, { model, server: config.server, log, watch: ownWatch, spawn: spares.spawn }),
  })
  registry.addServed(served, { numReplicas: () => model.replicas, maxRunning: null, isListed: true })
}

function artifactOf(
  source: LocalSource,
  placements: readonly Placement[],
  { parts: { config, log }, spawn }: { readonly parts: OpenModelsParts; readonly spawn: SpawnWorker },
): Artifact {
  const base = source.kind === 'file' ? null : (placements.find(({ model }) => model.name === source.model)?.model ?? null)
  if (source.kind === 'served' && base === null)
    throw new InferdError('model_not_found', `this server's configuration has no model '${source.model}'`, { param: 'model' })
  const file = source.kind === 'file' ? source.path : base!.path
  const kvCacheMib = source.kvCacheMib ?? base?.kvCacheMib
  const watch: ModelWatch = { onReady: () => {}, onFailed: () => {} }
  return {
    base: base?.name ?? null,
    engine: engineOf({ path: file, ...(kvCacheMib === undefined ? {} : { kvCacheMib }) }, config),
    replicasOf: (name, engine) => replicaOptions(engine, { model: { name, path: file, replicas: 1 }, server: config.server, log, watch, spawn }),
  }
}

/** Only a start can fail as a whole: a server that has served stays up and tells its callers. */
function watchModels({ metrics, onAllFailed }: OpenModelsParts, registry: ModelRegistry): ModelWatch {
  let hasServed = false
  return {
    onReady: (model, startMs) => {
      hasServed = true
      if (startMs > 0) void metrics.then((known) => known.onColdStart(model, 'load', startMs))
    },
    onFailed: () => {
      if (!hasServed && registry.list().every(({ state }) => state.kind === 'failed')) onAllFailed()
    },
  }
}

function engineOf(
  { path: file, kvCacheMib }: Pick<ModelEntry, 'path' | 'kvCacheMib'>,
  { engine, data, server }: OpenModelsParts['config'],
): EngineOptions {
  const folder = path.join(resolveDataDir(data.dataDir), 'packed-weights')
  const options = engineOptions(
    file,
    engine,
    server.packedWeightsMib === 0 ? null : { folder, minBytes: MIN_PACKED_BYTES, maxBytes: server.packedWeightsMib * 2 ** 20 },
  )
  return kvCacheMib === undefined ? options : { ...options, kvCacheBytes: kvCacheMib * 2 ** 20 }
}

function withConcurrency(file: PlatformFile, placements: readonly Placement[]): PlatformFile {
  const asked = placements.flatMap(({ model: { name, maxConcurrency } }) =>
    maxConcurrency === undefined ? [] : [[name, { maxRunning: maxConcurrency }] as const],
  )
  return { ...file, admission: { ...file.admission, capacity: { ...Object.fromEntries(asked), ...file.admission.capacity } } }
}
