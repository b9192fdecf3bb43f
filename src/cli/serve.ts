/** `inferd serve`: workers, registry and server put together, and taken apart in order on a signal. */
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '#base/clock'
import type { EngineConfig, ServerConfig } from '#config/schema'
import { InferdError } from '#contract/errors'
import { ModelRegistry } from '#platform/registry/model-registry'
import type { ReplicaState } from '#platform/replicas/replica'
import { spawnWorker } from '#platform/replicas/worker-process'
import { createServer } from '#server/http/listener'
import { DEFAULT_SERVER_OPTIONS } from '#server/http/server-options'
import { createLog, type Log } from '#telemetry/log'
import { engineOptions } from './engine-options.ts'
import { parseModelArguments, type ModelArgument } from './model-argument.ts'
import { ProgressBar } from './progress-bar.ts'

/** Served when no model is named. */
const SHIPPED_MODEL: ModelArgument = {
  name: 'inferd-chat',
  path: fileURLToPath(new URL('../../models/inferd-chat/inferd-chat-Q8_0.gguf', import.meta.url)),
}

interface ServeConfig {
  readonly engine: EngineConfig
  readonly server: ServerConfig
}

/** Resolves when the server has drained after `signal`. Throws InferdError when it cannot start. */
export async function serve(models: readonly string[], config: ServeConfig, signal: AbortSignal): Promise<void> {
  const { host, drainS, logLevel } = config.server
  checkLoopback(host)
  const modelArguments = models.length === 0 ? [SHIPPED_MODEL] : parseModelArguments(models)
  const log = createLog(logLevel)
  const registry = new ModelRegistry()
  const server = createServer({ models: registry, options: serverOptions(config.server), log, clock: systemClock })
  const { port } = await server.listen()
  const allFailed = new AbortController()
  let hasServed = false
  const onReady = (): void => {
    hasServed = true
  }
  // Only a start can fail as a whole: a server that has served stays up and tells its callers.
  const onFailed = (): void => {
    if (!hasServed && everyModelFailed(registry)) allFailed.abort()
  }
  for (const model of modelArguments) startModel({ registry, model, config, log, onReady, onFailed })
  announce(host, port, registry)
  await aborted(AbortSignal.any([signal, allFailed.signal]))
  log.info({ drainS }, 'draining')
  await server.close({ graceMs: drainS * 1000 })
  await registry.stop()
  log.info({}, 'stopped')
  if (allFailed.signal.aborted) throw new InferdError('unsupported_model', 'no model could be loaded; the reasons are above')
}

function everyModelFailed(registry: ModelRegistry): boolean {
  return registry.list().every((model) => model.state.kind === 'failed')
}

function serverOptions(config: ServerConfig): typeof DEFAULT_SERVER_OPTIONS {
  return {
    ...DEFAULT_SERVER_OPTIONS,
    host: config.host,
    port: config.port,
    bodyLimitBytes: config.bodyLimitMib * 2 ** 20,
    requestTimeoutMs: config.requestTimeoutS * 1000,
    maxConnections: config.maxConnections,
  }
}

interface ModelStart {
  readonly registry: ModelRegistry
  readonly model: ModelArgument
  readonly config: ServeConfig
  readonly log: Log
  readonly onReady: () => void
  readonly onFailed: () => void
}

function startModel({ registry, model, config, log, onReady, onFailed }: ModelStart): void {
  const bar = new ProgressBar(`loading ${model.name}`)
  registry.add(model.name, {
    engine: engineOptions(model.path, config.engine),
    hangTimeoutMs: config.server.hangS * 1000,
    spawn: spawnWorker,
    clock: systemClock,
    onStateChange: (state) => {
      report(model, state, bar, log)
      if (state.kind === 'ready') onReady()
      if (state.kind === 'failed') onFailed()
    },
  })
}

function report(model: ModelArgument, state: ReplicaState, bar: ProgressBar, log: Log): void {
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

/** Without keys, only this machine may ask. */
function checkLoopback(host: string): void {
  if (host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)) return
  const reason = 'only loopback addresses are accepted, because there are no keys yet; put a proxy with credentials in front'
  throw new InferdError('invalid_parameter', `--host ${host}: ${reason}`, { param: '--host' })
}

function announce(host: string, port: number, registry: ModelRegistry): void {
  const address = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  const names = registry.list().map((model) => model.name)
  process.stderr.write(`inferd listens on ${address}  (OpenAI API: ${address}/v1)\nmodels: ${names.join(', ')}\n`)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
