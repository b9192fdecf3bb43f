/** `inferd serve`: workers, registry and server put together, and taken apart in order on a signal. */
import { fileURLToPath } from 'node:url'
import { systemClock } from '#base/clock'
import { randomSeed, SeededRandom } from '#base/random'
import { EMPTY_PLATFORM_FILE, type PlatformFile, readPlatformFile } from '#config/platform-file'
import type { ModelEntry } from '#config/platform-file/models'
import type { DataConfig, EngineConfig, ServerConfig } from '#config/schema'
import { InferdError } from '#contract/errors'
import type { ModelRegistry } from '#platform/registry/model-registry'
import { createServer } from '#server/http/listener'
import { DEFAULT_SERVER_OPTIONS } from '#server/http/server-options'
import { createLog } from '#telemetry/log'
import type { Metrics } from '#telemetry/metrics'
import { openAccess } from './access.ts'
import { openDataDir } from './data-dir.ts'
import { parseModelArguments, type ModelArgument } from './model-argument.ts'
import { DiskDamage } from './disk-damage.ts'
import { openDataStore } from './open-data-store.ts'
import { openModels } from './open-models.ts'
import { openPlatform, type PlatformParts } from './open-platform.ts'

/** Served when no model is named. */
const SHIPPED_MODEL: ModelArgument = {
  name: 'inferd-chat',
  path: fileURLToPath(new URL('../../models/inferd-chat/inferd-chat-Q8_0.gguf', import.meta.url)),
}

/** What the command line does not say of a model. */
const ALWAYS_ON = { idleTimeoutS: 0, pin: false }
const MAX_ANNOUNCED = 20
/** What runs may end for so long when a disk has failed: most of it needs the store. */
const DAMAGED_GRACE_MS = 5000
const NO_MODEL = new InferdError('unsupported_model', 'no model could be loaded; the reasons are above')

interface ServeConfig {
  readonly engine: EngineConfig
  readonly server: ServerConfig
  readonly data: DataConfig
}

/** Resolves when the server has drained after `signal`. Throws InferdError when it cannot start. */
export async function serve(named: readonly string[], config: ServeConfig, signal: AbortSignal, version: string): Promise<void> {
  const { host, auth, awsRegion, drainS, logLevel } = config.server
  const given = config.server.config === '' ? EMPTY_PLATFORM_FILE : readPlatformFile(config.server.config)
  const log = createLog(logLevel)
  const damage = new DiskDamage(log)
  const allFailed = new AbortController()
  const metrics = Promise.withResolvers<Metrics>()
  const entries = modelsOf(named, given, config.server.replicas)
  const models = openModels({ entries, file: given, config, log, metrics: metrics.promise, onAllFailed: () => allFailed.abort(NO_MODEL) })
  const { registry, file } = models
  const dataDir = openDataDir(config.data.dataDir)
  // Closed in the opposite order, also when a later one cannot be opened.
  await using opened = new AsyncDisposableStack()
  const store = opened.adopt(await openDataStore(config.data, dataDir, damage.tell), (parts) => parts.close())
  const region = awsRegion === 'any' ? null : awsRegion
  const accessParts = { mode: auth, host, region, store, dataDir, clock: systemClock, log, tellDamage: damage.tell }
  const access = opened.adopt(await openAccess(accessParts), (parts) => parts.close())
  const platform = await openPlatform({
    store,
    dataDir,
    file,
    models: registry,
    machine: models,
    maxSequences: config.engine.maxSequences,
    ...platformLimits(config.server),
    version,
    clock: systemClock,
    random: new SeededRandom(randomSeed()),
    log,
    damage,
  })
  opened.defer(() => platform.close())
  opened.defer(() => models.stop())
  // Before the workers end: what they do then is no reason to roll anything back.
  opened.defer(() => platform.deployments.close())
  const { online, services } = platform
  metrics.resolve(platform.metrics)
  const { authenticate, onScopeRefusal, credentials } = access
  const server = createServer({
    models: registry,
    online,
    services: { ...services, credentials },
    options: serverOptions(config.server, version),
    log,
    clock: systemClock,
    onScopeRefusal,
    ...(authenticate === null ? {} : { authenticate }),
  })
  await platform.deployments.start()
  const { port } = await server.listen()
  models.start()
  platform.jobs.start(server.call)
  announce(host, port, registry)
  await aborted(AbortSignal.any([signal, allFailed.signal, damage.signal]))
  log.info({ drainS }, 'draining')
  const graceMs = damage.signal.aborted ? Math.min(drainS * 1000, DAMAGED_GRACE_MS) : drainS * 1000
  // Jobs are told first: what they call is refused from then on. What became of them could not be kept on a failed disk.
  await Promise.all([platform.jobs.drain({ graceMs: damage.signal.aborted ? 0 : graceMs }), server.close({ graceMs })])
  await platform.drain({ graceMs })
  await opened.disposeAsync().catch((err: unknown) => {
    // Of a disk that failed nothing else can be expected.
    if (!damage.signal.aborted) throw err
    log.warn({ err }, 'not everything could be written at the end')
  })
  log.info({}, 'stopped')
  damage.signal.throwIfAborted()
  allFailed.signal.throwIfAborted()
}

/** Of the command line, then of the file; the shipped one when neither names any. */
function modelsOf(named: readonly string[], file: PlatformFile, replicas: number): readonly ModelEntry[] {
  const models = [...parseModelArguments(named).map((model) => ({ ...model, ...ALWAYS_ON, replicas })), ...file.models]
  return models.length === 0 && file.upstreams.length === 0 && file.modelFolders.length === 0
    ? [{ ...SHIPPED_MODEL, ...ALWAYS_ON, replicas }]
    : models
}

function platformLimits(
  config: ServerConfig,
): Pick<PlatformParts, 'requestTimeoutMs' | 'maxCallBytes' | 'diskReserveBytes' | 'responseRetentionDays'> {
  return {
    requestTimeoutMs: config.requestTimeoutS * 1000,
    maxCallBytes: config.bodyLimitMib * 2 ** 20,
    diskReserveBytes: config.diskReserveMib * 2 ** 20,
    responseRetentionDays: config.responseRetentionDays,
  }
}

function serverOptions(config: ServerConfig, version: string): typeof DEFAULT_SERVER_OPTIONS {
  return {
    ...DEFAULT_SERVER_OPTIONS,
    host: config.host,
    port: config.port,
    version,
    bodyLimitBytes: config.bodyLimitMib * 2 ** 20,
    requestTimeoutMs: config.requestTimeoutS * 1000,
    maxConnections: config.maxConnections,
  }
}

function announce(host: string, port: number, registry: ModelRegistry): void {
  const address = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  const names = registry.list().map((model) => model.name)
  const more = names.length > MAX_ANNOUNCED ? ` and ${names.length - MAX_ANNOUNCED} more` : ''
  const listed = `models: ${names.slice(0, MAX_ANNOUNCED).join(', ')}${more}`
  process.stderr.write(`inferd listens on ${address}  (OpenAI API: ${address}/v1)\n${listed}\n`)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
