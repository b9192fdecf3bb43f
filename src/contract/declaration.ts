/** A whole deployment as one document (`inferd.yaml`), what must change to come to it, and who does that. */
import type { CaptureTerms } from '#contract/capture'
import type { ModelSource, RolloutPlan } from '#contract/deployment'
import type { Commitment } from '#contract/provisioned'
import type { ScheduledAction, StepScaling, TargetTracking } from '#contract/scaling'

export interface DeclaredModel {
  readonly name: string
  /** One of the server's, or an object of the caller's team. */
  readonly source: { readonly served: string } | { readonly object: string }
  readonly kvCacheMib: number | null
}

export interface DeclaredVariant {
  readonly name: string
  /** Of the document. */
  readonly model: string
  readonly weight: number
  readonly replicas: number
  readonly serverless: { readonly maxConcurrency: number; readonly provisionedConcurrency: number; readonly idleTimeoutS: number } | null
  readonly scaling: DeclaredScaling | null
}

/** With a target to keep to, or steps. */
export interface DeclaredScaling {
  readonly min: number
  readonly max: number
  readonly tracking: DeclaredTracking | null
  readonly steps: readonly DeclaredSteps[]
  readonly schedules: readonly DeclaredSchedule[]
}

export interface DeclaredTracking extends Pick<TargetTracking, 'metric' | 'target'> {
  readonly scaleInCooldownS: number
  readonly scaleOutCooldownS: number
}

export interface DeclaredSteps {
  /** Of its variant, unique. */
  readonly name: string
  readonly rule: StepScaling
}

export type DeclaredSchedule = Pick<ScheduledAction, 'name' | 'expression' | 'schedule' | 'timezone' | 'minReplicas' | 'maxReplicas'>

export interface DeclaredEndpoint {
  readonly name: string
  readonly variants: readonly DeclaredVariant[]
  readonly shadows: readonly DeclaredVariant[]
  /** How it is changed; no part of what it is. */
  readonly rollout: RolloutPlan
  /** Absent = no calls are kept. */
  readonly capture?: DeclaredCapture | undefined
}

/** To a bucket of the caller's team. */
export type DeclaredCapture = Omit<CaptureTerms, 'team' | 'isEnabled'>

/** Of the caller's team. */
export interface DeclaredThroughput {
  readonly name: string
  /** One of the server's, by its own name. */
  readonly model: string
  readonly units: number
  readonly commitment: Commitment
}

export interface Declaration {
  readonly models: readonly DeclaredModel[]
  readonly endpoints: readonly DeclaredEndpoint[]
  readonly provisioned: readonly DeclaredThroughput[]
}

export interface DeclaredChange {
  /** replace: what failed goes first. later: not by this apply, but by the next. */
  readonly action: 'create' | 'update' | 'replace' | 'delete' | 'later' | 'keep'
  readonly kind: 'model' | 'configuration' | 'endpoint' | 'scaling' | 'throughput'
  readonly name: string
  /** What differs, a line each: `variants[0].replicas: 1 -> 2`. */
  readonly details: readonly string[]
}

export interface DeclarationDesk {
  /** In the order in which they are made. Throws invalid_parameter for a document that names what is not there. */
  plan(declaration: Declaration, terms: DeclarationTerms): Promise<readonly DeclaredChange[]>
  /** Resolves when all of it is written down; endpoints are on their way then. Throws what a change is refused for: those before it are made. */
  apply(declaration: Declaration, terms: DeclarationTerms, signal: AbortSignal): Promise<readonly DeclaredChange[]>
}

export interface DeclarationTerms {
  /** Whose bucket objects are in. */
  readonly team: string
  /** Who buys what is provisioned. */
  readonly keyId: string
  /** Endpoints and provisioned throughput that an earlier document made and this one does not name are deleted. */
  readonly prune: boolean
}

export function sourceOf({ source }: DeclaredModel, team: string): ModelSource {
  return 'served' in source ? { kind: 'served', model: source.served } : { kind: 'object', team, uri: source.object }
}
