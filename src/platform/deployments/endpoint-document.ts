/**
 * An endpoint as it is kept: what is wanted of it and how far that is. From it alone follow the units and routes that must be there; who reads
 * it after a crash goes on where it stood.
 */
import type { CaptureTerms } from '#contract/capture'
import type { AsyncTerms, Endpoint, EndpointConfig, ModelDefinition, RolloutPhase, RolloutPlan, VariantSpec } from '#contract/deployment'
import type { ErrorRecord } from '#contract/errors'
import type { UnitCapture } from '#platform/capture/call-captures'
import type { DeployedAsync } from '#platform/invocations/deployed-terms'
import type { RouteDefinition, RouteShadow } from '#platform/routing/route-definition'
import { ROUTE_DEFAULTS } from '#platform/routing/route-table'
import type { UnitTerms } from './fleet.ts'

/** A variant as it stands; what its model was when the generation was made is copied. */
export interface PlacedVariant {
  readonly spec: VariantSpec
  readonly model: Pick<ModelDefinition, 'source' | 'kvCacheMib'>
  readonly weight: number
  readonly replicas: number
}

/** The variants of one configuration, with units of their own. Never given twice. */
export interface Generation {
  readonly number: number
  readonly config: string
  readonly variants: readonly PlacedVariant[]
  readonly shadows: readonly PlacedVariant[]
  readonly capture?: CaptureTerms
  readonly asyncInference?: AsyncTerms
}

export interface Rollout {
  readonly plan: RolloutPlan
  readonly phase: RolloutPhase
  /** Of the calls that go to the next generation. */
  readonly percent: number
  /** Of the replicas of the next generation that are wanted; ahead of `percent` while a step of a rolling update starts. Absent = 100. */
  readonly room?: number
  readonly startedMs: number
  /** Of the last step. */
  readonly steppedMs: number
}

/**
 *   next, starting -> (shifting ->)* baking -> serving
 *          |              |            |
 *          +--------------+------------+--> rolling-back -> serving as before, or nothing: failed
 *
 * Invariants: `next` and `rollout` are there together; without `serving` no call goes anywhere until `next` is serving.
 */
export interface EndpointDocument {
  readonly isWanted: boolean
  readonly serving: Generation | null
  readonly next: Generation | null
  readonly rollout: Rollout | null
  readonly lastPlan: RolloutPlan | null
  readonly lastGeneration: number
  readonly problem: ErrorRecord | null
  /** Of its creation, for one that failed and has no generation. Absent in what older servers wrote. */
  readonly firstConfig?: string
}

/** Shares of counts are not exact. */
const ROUNDING = 1e-9

export function unitName(endpoint: string, variant: string, generation: number): string {
  return `${endpoint}/${variant}@${generation}`
}

/** Of a generation, shadows too. */
export function unitsOf(endpoint: string, { number, variants, shadows }: Generation): readonly UnitTerms[] {
  return [...variants, ...shadows].map(({ spec, model, replicas }) => ({
    unit: unitName(endpoint, spec.name, number),
    source: model.source,
    kvCacheMib: model.kvCacheMib,
    replicas,
    serverless: spec.serverless,
  }))
}

/** All that must run. */
export function wantedUnits(endpoint: string, { isWanted, serving, next, rollout }: EndpointDocument): readonly UnitTerms[] {
  if (!isWanted) return []
  const isNextWanted = next !== null && rollout?.phase !== 'rolling-back'
  const room = isNextWanted ? (rollout?.room ?? 100) : 100
  // Of a rolling update: what calls have left goes, and one stays until the end for those that come back.
  const isRolling = isNextWanted && rollout?.plan.kind === 'rolling'
  const kept = serving === null ? [] : unitsOf(endpoint, isRolling ? partOf(serving, 100 - rollout.percent) : serving)
  return [...kept, ...(isNextWanted ? unitsOf(endpoint, partOf(next, room)) : [])]
}

/** With that share of its replicas, of each variant at least one. What sleeps goes on sleeping. */
function partOf(generation: Generation, percent: number): Generation {
  if (percent >= 100) return generation
  const part = (placed: PlacedVariant): PlacedVariant => ({ ...placed, replicas: Math.min(placed.replicas, countOf(placed.replicas, percent)) })
  return { ...generation, variants: generation.variants.map(part), shadows: generation.shadows.map(part) }
}

function countOf(replicas: number, percent: number): number {
  return Math.max(1, Math.ceil((replicas * percent) / 100 - ROUNDING))
}

/** All names that must lead somewhere: the endpoint's own, and one for each variant. */
export function wantedRoutes(endpoint: string, { isWanted, serving, next, rollout }: EndpointDocument): readonly RouteDefinition[] {
  if (!isWanted || serving === null) return []
  const percent = rollout?.percent ?? 0
  const shares = [...shareOf(endpoint, serving, 100 - percent), ...(next === null || percent === 0 ? [] : shareOf(endpoint, next, percent))]
  // Who calls a variant by its name gets the generation that most calls get.
  const shown = next !== null && percent === 100 ? next : serving
  return [
    { ...ROUTE_DEFAULTS, name: endpoint, variants: shares.filter(({ weight }) => weight > 0), shadows: shadowsOf(endpoint, shown) },
    ...shown.variants.map(({ spec }) => ({
      ...ROUTE_DEFAULTS,
      name: `${endpoint}/${spec.name}`,
      variants: [{ model: unitName(endpoint, spec.name, shown.number), weight: 1 }],
    })),
  ]
}

/** Units whose calls are kept, of each generation that may get some. */
export function wantedCaptures(endpoint: string, { isWanted, serving, next }: EndpointDocument): readonly UnitCapture[] {
  const generations = isWanted ? [serving, next] : []
  return generations.flatMap((generation) => {
    if (generation?.capture === undefined) return []
    const { number, variants, capture: terms } = generation
    return variants.map(({ spec }) => ({ unit: unitName(endpoint, spec.name, number), variant: spec.name, terms }))
  })
}

/** What the configuration that most calls go to says of asynchronous invocations, and over how many replicas; null = nothing. */
export function wantedAsync({ isWanted, serving, next, rollout }: EndpointDocument): DeployedAsync | null {
  const shown = next !== null && rollout?.percent === 100 ? next : serving
  if (!isWanted || shown?.asyncInference === undefined) return null
  return { terms: shown.asyncInference, numReplicas: shown.variants.reduce((sum, { replicas }) => sum + replicas, 0) }
}

/** Weights of a generation make `percent` together, whatever their own sum. */
function shareOf(endpoint: string, { number, variants }: Generation, percent: number): RouteDefinition['variants'] {
  const total = variants.reduce((sum, { weight }) => sum + weight, 0)
  return variants.map(({ spec, weight }) => ({ model: unitName(endpoint, spec.name, number), weight: (weight / total) * percent }))
}

function shadowsOf(endpoint: string, { number, shadows }: Generation): readonly RouteShadow[] {
  return shadows.map(({ spec, weight }) => ({ model: unitName(endpoint, spec.name, number), percent: Math.min(100, weight) }))
}

export function statusOf({ isWanted, serving, rollout, problem }: EndpointDocument): Endpoint['status'] {
  if (!isWanted) return 'Deleting'
  if (serving === null) return problem === null ? 'Creating' : 'Failed'
  if (rollout === null) return 'InService'
  return rollout.phase === 'rolling-back' ? 'RollingBack' : 'Updating'
}

export function makeGeneration(number: number, config: EndpointConfig, modelOf: (name: string) => PlacedVariant['model']): Generation {
  const place = (spec: VariantSpec): PlacedVariant => ({ spec, model: modelOf(spec.model), weight: spec.weight, replicas: spec.replicas })
  const placed = { number, config: config.name, variants: config.variants.map(place), shadows: config.shadows.map(place) }
  const { capture, asyncInference } = config
  return { ...placed, ...(capture === undefined ? {} : { capture }), ...(asyncInference === undefined ? {} : { asyncInference }) }
}
