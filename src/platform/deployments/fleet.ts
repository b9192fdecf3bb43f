/** What deployments need of the machine: units of replicas that come and go under its memory, and names that lead to them. */
import type { ModelSource, ServerlessTerms } from '#contract/deployment'
import type { ErrorRecord } from '#contract/errors'
import type { ScalingMetric } from '#contract/scaling'
import type { RouteDefinition } from '#platform/routing/route-definition'

/** A variant of an endpoint in one generation. */
export interface UnitTerms {
  /** Under which it is served, measured and billed: `endpoint/variant@generation`. Listed to nobody. */
  readonly unit: string
  readonly source: ModelSource
  /** Of each replica; null = as the configuration says. */
  readonly kvCacheMib: number | null
  /** 0 = asleep until it is called, as what is scaled to none. */
  readonly replicas: number
  readonly serverless: ServerlessTerms | null
}

export interface FleetUnit {
  readonly unit: string
  /** That take calls now. A sleeping unit has 0 and can be called all the same. */
  readonly readyReplicas: number
  readonly wantedReplicas: number
  /** Calls can be sent to it: as many replicas as wanted, or asleep. */
  readonly isUp: boolean
  /** Why its last start failed; it is tried again after a rest. null = nothing is wrong. */
  readonly problem: ErrorRecord | null
  /**
   * To 0: it sleeps, and a call wakes it. Scale-in takes no new calls on what goes and lets what runs end. Throws insufficient_memory with need
   * and have, and changes nothing then.
   */
  scaleTo(numReplicas: number): void
  /** What is asked of it now, over all replicas. */
  measure(signal: AbortSignal): Promise<UnitLoad>
}

/** Values as ScalingMetric describes them, but of the unit as a whole; null = not known. */
export type UnitLoad = Readonly<Record<Exclude<ScalingMetric, 'backlog' | 'queue-wait'>, number | null>>

export interface Fleet {
  /** Starts it. Throws insufficient_memory with need and have, model_not_found for a source that is not there, and what its files are refused for. */
  add(terms: UnitTerms, signal: AbortSignal): Promise<FleetUnit>
  find(unit: string): FleetUnit | null
  /**
   * Also one that was refused. No route may lead to it any more. Calls that it has are answered. Resolves when its processes are gone, and with
   * them all that was kept for it alone.
   */
  retire(unit: string): Promise<void>
  /** Makes or replaces the name; calls that run are not touched. Throws invalid_parameter for a name that a model or another's route has. */
  putRoute(route: RouteDefinition): void
  /** Whether neither a model nor a route of the configuration has it. */
  isFreeName(name: string): boolean
  removeRoute(name: string): void
}
