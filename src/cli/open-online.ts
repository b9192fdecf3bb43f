/** What a call passes put together: metering, the door, safety, context, the cache of answers, routing, and the models behind it. */
import type { Clock } from '#base/clock'
import type { Random } from '#base/random'
import type { PlatformFile } from '#config/platform-file'
import type { ModelRegistry } from '#platform/registry/model-registry'
import type { Store } from '#platform/store/open-store'
import type { Log } from '#telemetry/log'
import { InferdError } from '#contract/errors'
import type { GenerateRequest, SamplingChange } from '#contract/generate'
import { truncationStage } from '#platform/context/truncation-stage'
import { AlarmWatch } from '#platform/deployments/alarm-watch'
import { CallTracer } from '#platform/metering/call-tracer'
import { Ledger } from '#platform/metering/ledger'
import { Metering, type CallObserver } from '#platform/metering/metering'
import { PriceTable } from '#platform/metering/price-table'
import { StageMarks } from '#platform/metering/stage-marks'
import { onlinePath, type NamedStage } from '#platform/online/online-path'
import type { OnlineModels } from '#platform/online/online-models'
import type { Stage } from '#platform/online/stage'
import { factsOf } from '#contract/served-model'
import { embedWith, responseCacheStage } from '#platform/response-cache/response-cache-stage'
import { makeQualityStage } from '#platform/quality/quality-stage'
import { qualityPolicyOf } from '#platform/quality/quality-policy'
import type { PriceOf } from '#platform/routing/route-stats'
import { routeDefinitions } from '#platform/routing/route-table'
import { routingHandler, type RoutingHandler } from '#platform/routing/routing-handler'
import type { ShadowCalls } from '#platform/routing/shadow-calls'
import { insertEntries } from '#platform/store/usage-table'
import type { Upstream } from '#upstreams/open-upstream'
import { Metrics } from '#telemetry/metrics'
import type { SpanExport } from '#telemetry/span-export'
import { openDoor } from './open-door.ts'
import type { Provisioned } from './open-provisioned.ts'
import { openSafety, type Safety } from './open-safety.ts'
import { openShadows } from './open-shadows.ts'

import type { Machine } from './open-deployments.ts'

export interface OnlineParts {
  readonly store: Store
  readonly file: PlatformFile
  readonly models: ModelRegistry
  /** What deployments run on; null = there are none. */
  readonly machine: Machine | null
  /** Sequences that one replica runs at a time. */
  readonly maxSequences: number
  readonly requestTimeoutMs: number
  readonly version: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface OnlineSide {
  readonly online: OnlineModels
  readonly prices: PriceTable
  readonly ledger: Ledger
  readonly metrics: Metrics
  readonly shadows: ShadowCalls
  readonly routing: RoutingHandler
  readonly provisioned: Provisioned
  readonly watch: AlarmWatch
  readonly safety: Safety
  readonly upstreams: readonly Upstream[]
  /** null = nobody traces. */
  readonly tracing: Tracing | null
}

/** Throws store_failed, and invalid_parameter for routes, upstreams and units that cannot be. */
export async function openOnline(parts: OnlineParts): Promise<OnlineSide> {
  const { store, file, clock, log } = parts
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
  return { online, prices, ledger, metrics, shadows, routing, provisioned, watch, safety, upstreams, tracing }
}

/** Throws invalid_parameter. */
async function openRemote({ file: { upstreams, egress }, clock }: OnlineParts): Promise<readonly Upstream[]> {
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

function openRouting({ models, machine, file, clock, random }: OnlineParts, { prices, marks, shadows }: RoutingNeeds): RoutingHandler {
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

function openResponseCache({ file, models, clock }: OnlineParts, routing: RoutingHandler): readonly NamedStage[] {
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
async function openTracing({ file, version, clock }: OnlineParts): Promise<Tracing | null> {
  const { traces } = file.telemetry
  if (traces === null) return null
  const { SpanExport } = await import('#telemetry/span-export')
  const spans = new SpanExport(traces, version)
  const marks = new StageMarks(clock)
  return { spans, marks, tracer: new CallTracer({ spans, marks, clock }) }
}
