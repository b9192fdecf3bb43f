/** Everything that stands between the server and the models, opened in order and closed in order. */
import path from 'node:path'
import type { Clock } from '#base/clock'
import type { Random } from '#base/random'
import type { PlatformFile } from '#config/platform-file'
import { InferdError } from '#contract/errors'
import type { GenerateRequest, SamplingChange } from '#contract/generate'
import { DEFAULT_BACKGROUND_RUN_OPTIONS, DetachedRuns } from '#platform/context/background-runs'
import { StoredResponses } from '#platform/context/response-archive'
import { truncationStage } from '#platform/context/truncation-stage'
import { AlarmWatch } from '#platform/deployments/alarm-watch'
import { DEFAULT_FILE_LIMITS, DiskFileShelf } from '#platform/files/file-shelf'
import { CallTracer } from '#platform/metering/call-tracer'
import { Ledger } from '#platform/metering/ledger'
import { Metering, type CallObserver } from '#platform/metering/metering'
import { PriceTable } from '#platform/metering/price-table'
import { StageMarks } from '#platform/metering/stage-marks'
import { usageReports } from '#platform/metering/usage-reports'
import { openObjectStores } from '#platform/objects/open-object-stores'
import { onlinePath, type NamedStage } from '#platform/online/online-path'
import type { OnlineModels } from '#platform/online/online-models'
import type { Stage } from '#platform/online/stage'
import { modePlanner } from '#platform/planning/mode-planner'
import type { ModelRegistry } from '#platform/registry/model-registry'
import { factsOf } from '#contract/served-model'
import { embedWith, responseCacheStage } from '#platform/response-cache/response-cache-stage'
import { makeQualityStage } from '#platform/quality/quality-stage'
import { qualityPolicyOf } from '#platform/quality/quality-policy'
import type { PriceOf } from '#platform/routing/route-stats'
import { routeDefinitions } from '#platform/routing/route-table'
import { routingHandler, type RoutingHandler } from '#platform/routing/routing-handler'
import type { ShadowCalls } from '#platform/routing/shadow-calls'
import type { Store } from '#platform/store/open-store'
import { insertEntries } from '#platform/store/usage-table'
import type { ServerServices } from '#server/services'
import type { Log } from '#telemetry/log'
import type { Upstream } from '#upstreams/open-upstream'
import { Metrics } from '#telemetry/metrics'
import type { SpanExport } from '#telemetry/span-export'
import { acceptWithRoom } from './accept-with-room.ts'
import type { DiskDamage } from './disk-damage.ts'
import { openCaptures } from './open-captures.ts'
import { openDoor } from './open-door.ts'
import { type Deployments, type Machine, openDeployments } from './open-deployments.ts'
import type { Jobs } from './open-jobs.ts'
import { openSafety } from './open-safety.ts'
import { openShadows } from './open-shadows.ts'
import { openWork } from './open-work.ts'

const CAPTURE_CLOSE_MS = 5000
const LEDGER_CLOSE_MS = 5000
const DAY_MS = 86_400_000

export interface PlatformParts {
  readonly store: Store
  /** null = a server that keeps no files of callers. */
  readonly dataDir: string | null
  readonly file: PlatformFile
  readonly models: ModelRegistry
  /** What deployments run on; null = there are none. */
  readonly machine: Machine | null
  /** Sequences that one replica runs at a time. */
  readonly maxSequences: number
  readonly requestTimeoutMs: number
  /** Of the body of one call, as the server's door takes it. */
  readonly maxCallBytes: number
  readonly responseRetentionDays: number
  /** Free space of the data directory's disk below which nothing new is accepted; 0 = none is kept. */
  readonly diskReserveBytes: number
  readonly version: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly damage: DiskDamage
}

export interface Platform {
  readonly online: OnlineModels
  /** Without credentials, which are the door's to issue. */
  readonly services: ServerServices
  readonly metrics: Metrics
  readonly jobs: Jobs
  readonly deployments: Deployments
  /** After the server is closed and while the models still answer: runs in the background may end within the grace. */
  drain(options: { readonly graceMs: number }): Promise<void>
  /** Writes what is settled. The store stays open. */
  close(): Promise<void>
}

/** Throws store_failed, and invalid_parameter for a file that cannot be. */
export async function openPlatform(parts: PlatformParts): Promise<Platform> {
  const { store, file, clock, log } = parts
  const closing = new AbortController()
  const onFailure = (err: unknown): void => log.error({ err }, 'the store could not be swept')
  const prices = new PriceTable(file.prices, (model) => parts.machine?.units.baseOf(model) ?? model)
  const ledger = new Ledger({ write: (entries, groupId) => insertEntries(store.db, entries, groupId), clock, log })
  const tracing = await openTracing(parts)
  const upstreams = await openRemote(parts)
  for (const model of upstreams.flatMap(({ models }) => models)) parts.models.addServed(model)
  const metrics: Metrics = new Metrics({
    version: parts.version,
    maxLabelValues: file.telemetry.maxLabelValues,
    figures: () => ({ queues: admission.figures, ledger }),
  })
  const shadows = openShadows({ metrics, ledger, maxLabelValues: file.telemetry.maxLabelValues, clock })
  const routing = openRouting(parts, { prices, marks: tracing?.marks ?? null, shadows })
  const { admission, provisioned } = await openDoor({ ...parts, prices, routing, ledger, metrics })
  const watch = new AlarmWatch(clock)
  const observers: CallObserver[] = [metrics, watch, ...(tracing === null ? [] : [tracing.tracer])]
  const metering = new Metering({ prices, ledger, settlement: admission, observers, clock })
  const safety = openSafety({ store, config: file.guardrails, models: parts.models, clock })
  const stages: NamedStage[] = [
    { name: 'safety', stage: safety.stage },
    { name: 'context', stage: truncationStage(truncationPorts(routing)) },
    ...openResponseCache(parts, routing),
  ]
  const online = onlinePath({ metering, admission, stages, guardEmbedding: safety.guardEmbedding, routing, marks: tracing?.marks ?? null })
  const background = new DetachedRuns({ ...DEFAULT_BACKGROUND_RUN_OPTIONS, clock })
  const responses = await openResponses(parts, closing.signal, onFailure)
  const files = await openFiles(parts, closing.signal, onFailure)
  const objects = await openObjects(parts)
  const { jobs, asynchronous, asyncTerms } = openWork({ ...parts, files, objects: objects.stores, metrics })
  const captures = openCaptures({ ...parts, objects: objects.stores, metrics })
  const flush = (): Promise<void> => ledger.flush()
  const deployments = openDeployments({
    ...parts,
    flush,
    captures,
    asyncTerms,
    routing,
    objects: objects.stores,
    watch,
    provisioned: provisioned.desk,
    metrics,
  })
  const services = {
    guardrails: safety.archive,
    usage: usageReports(store, flush),
    plans: modePlanner({ store, prices, provisioned: file.provisioned, flush, clock }),
    metrics,
    responses,
    background,
    credentials: null,
    objects: objects.stores,
    ...acceptWithRoom({ jobs: jobs.desk, invocations: asynchronous.invocations, files }, { ...parts, floorBytes: parts.diskReserveBytes }),
    provisioned: provisioned.desk,
    captures,
    ...deployments.services,
  }
  await provisioned.start()
  const close = async (): Promise<void> => {
    closing.abort()
    await deployments.close()
    await provisioned.close()
    await shadows.close()
    await asynchronous.close()
    await background.close()
    await captures.close(parts.damage.signal.aborted ? 0 : CAPTURE_CLOSE_MS)
    await ledger.close(parts.damage.signal.aborted ? 0 : LEDGER_CLOSE_MS)
    await tracing?.spans.close()
    await Promise.all(upstreams.map((upstream) => upstream.close()))
    objects.close()
  }
  return { online, services, metrics, jobs, deployments, drain: (options) => background.close(options), close }
}

/** Throws invalid_parameter. */
async function openRemote({ file: { upstreams, egress }, clock }: PlatformParts): Promise<readonly Upstream[]> {
  if (upstreams.length === 0) return []
  const { openUpstreams } = await import('#platform/registry/open-upstreams')
  return openUpstreams({ upstreams, egress, clock })
}

/** Throws invalid_parameter for routes that cannot be. */
interface RoutingNeeds {
  readonly prices: PriceTable
  readonly marks: StageMarks | null
  readonly shadows: ShadowCalls
}

function openRouting({ models, machine, file, clock, random }: PlatformParts, { prices, marks, shadows }: RoutingNeeds): RoutingHandler {
  const quality = {
    policyOf: (model: string) => qualityPolicyOf(file.quality, machine?.units.baseOf(model) ?? model),
    clock,
    adjust: (model: string, request: GenerateRequest, change: SamplingChange) => models.find(model)?.adjust?.(request, change) ?? false,
  }
  const targetStage = (model: string): Stage => {
    const watch = makeQualityStage(model, quality)
    if (marks === null) return watch
    return (next) => watch(marks.attempt(model, next))
  }
  const priceOf: PriceOf = (model, usage) =>
    prices.charge(model, { usage, tier: 'default', isBatch: false, responseCache: 'none', busyMs: 0, isAnswered: true }).cost
  return routingHandler({ models, routes: routeDefinitions(file.routes), clock, random, targetStage, priceOf, shadows })
}

function openResponseCache({ file, models, clock }: PlatformParts, routing: RoutingHandler): readonly NamedStage[] {
  const policy = file.responseCache
  if (policy.allowed === 'off') return []
  const embedding = policy.embeddingModel === null ? null : models.find(policy.embeddingModel)
  if (policy.embeddingModel !== null && embedding === null)
    throw new InferdError('invalid_parameter', `responseCache.embeddingModel: there is no model '${policy.embeddingModel}'`, { param: '--config' })
  const { stage } = responseCacheStage({
    policy,
    clock,
    targetsOf: (name) => routing.targetsOf(name),
    find: (call) => routing.find(call.principal, call.model),
    embed: embedding === null ? null : embedWith(embedding),
  })
  return [{ name: 'response-cache', stage }]
}

function truncationPorts(routing: RoutingHandler): Parameters<typeof truncationStage>[0] {
  return {
    countTokens: (call, request, signal) => routing.countTokens(call.principal, call.model, request, signal),
    contextLengthOf: (call) => {
      const model = routing.find(call.principal, call.model)
      return model === null ? null : (factsOf(model.state)?.contextLength ?? null)
    },
  }
}

interface Tracing {
  readonly spans: SpanExport
  readonly marks: StageMarks
  readonly tracer: CallTracer
}

/** The exporter is large: it is loaded only where somebody wants it, and so are the clients of upstreams. */
async function openTracing({ file, version, clock }: PlatformParts): Promise<Tracing | null> {
  const { traces } = file.telemetry
  if (traces === null) return null
  const { SpanExport } = await import('#telemetry/span-export')
  const spans = new SpanExport(traces, version)
  const marks = new StageMarks(clock)
  return { spans, marks, tracer: new CallTracer({ spans, marks, clock }) }
}

function openObjects({ file, dataDir, clock, damage }: PlatformParts): ReturnType<typeof openObjectStores> {
  const onDamage = (bucket: string, error: unknown): void => damage.tell(`the bucket ${bucket}`, error)
  return openObjectStores({ config: file.objects, egress: file.egress, dataDir, clock, onDamage })
}

async function openResponses(
  { store, clock, responseRetentionDays }: PlatformParts,
  signal: AbortSignal,
  onFailure: (err: unknown) => void,
): Promise<StoredResponses> {
  const responses = new StoredResponses({ store, clock, retentionMs: responseRetentionDays * DAY_MS })
  await responses.failUnfinished()
  void responses.sweep(signal, onFailure)
  return responses
}

async function openFiles(
  { store, clock, dataDir, damage }: PlatformParts,
  signal: AbortSignal,
  onFailure: (err: unknown) => void,
): Promise<DiskFileShelf | null> {
  if (dataDir === null) return null
  const onDamage = (error: unknown): void => damage.tell('the folder of files', error)
  const shelf = await DiskFileShelf.open({ ...DEFAULT_FILE_LIMITS, store, clock, folder: path.join(dataDir, 'files'), onDamage })
  void shelf.sweep(signal, onFailure)
  return shelf
}
