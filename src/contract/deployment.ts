/**
 * What is deployed beside the models of the configuration: models by artifact, endpoint configurations, endpoints. An endpoint is a name
 * with variants; a variant is a model with replicas; a change of an endpoint is a rollout. Words: SageMaker's, 2017-07-24. All of it belongs
 * to the server, not to a team.
 */
import type { CaptureTerms } from '#contract/capture'
import type { ErrorRecord } from '#contract/errors'

/**
 * served: one of the configuration's models, by its name. object: a model file, or the folder of one (a key that ends with `/`), in a bucket
 * of the team that declared it.
 */
export type ModelSource =
  | { readonly kind: 'served'; readonly model: string }
  | { readonly kind: 'object'; readonly team: string; readonly uri: string }

export interface ModelDefinition {
  readonly name: string
  readonly source: ModelSource
  /** Of each replica; null = as the server's configuration says. */
  readonly kvCacheMib: number | null
  /** As it was sent, to be shown again. */
  readonly request: DeploymentJson
  readonly createdMs: number
}

/** Plain data of the dialect that made it. */
export type DeploymentJson = Readonly<Record<string, unknown>>

export interface ServerlessTerms {
  /** Choices that it is given at a time. */
  readonly maxConcurrency: number
  /** 0 = it sleeps when nobody calls; more: so many replicas are always up. */
  readonly provisionedConcurrency: number
  readonly idleTimeoutMs: number
}

export interface VariantSpec {
  readonly name: string
  /** Name of a ModelDefinition. */
  readonly model: string
  /** Share of the calls, relative to the other variants; 0 = only by its name. */
  readonly weight: number
  /** Replicas at the start; scaling changes it later. Serverless: at most. */
  readonly replicas: number
  readonly serverless: ServerlessTerms | null
}

/** Of asynchronous invocations of an endpoint. null = as the server's file says. */
export interface AsyncTerms {
  /** Folders, as `s3://bucket/prefix`. */
  readonly outputUri: string | null
  readonly failureUri: string | null
  /** Of each replica. */
  readonly maxConcurrent: number | null
  /** Names of topics of the server's file. */
  readonly successTopic: string | null
  readonly errorTopic: string | null
  /** Which notifications hold the response itself. */
  readonly includeResponseIn: readonly ('success' | 'error')[] | null
}

export interface EndpointConfig {
  readonly name: string
  /** At least one. */
  readonly variants: readonly VariantSpec[]
  /** Get copies of calls; what they answer is measured and thrown away. `weight` is the share of calls copied, in percent. */
  readonly shadows: readonly VariantSpec[]
  /** Of calls that its variants answer; absent = none are kept. */
  readonly capture?: CaptureTerms
  /** Absent = all as the server's file says. */
  readonly asyncInference?: AsyncTerms
  readonly request: DeploymentJson
  readonly createdMs: number
}

/** A threshold over what an endpoint did: it goes off when the value of the window is above it and the window has enough samples. */
export interface AlarmRule {
  readonly name: string
  /** Times in ms; rates in [0, 1] of all calls; cost in US dollars a call. */
  readonly metric: 'ttft_p95_ms' | 'tpot_p95_ms' | 'error_rate' | 'refusal_rate' | 'cost_per_request'
  readonly threshold: number
  readonly windowMs: number
  readonly minSamples: number
}

/** What variants take along into the next configuration if they have the same name in it. */
export interface RetainedProperties {
  /** scaled: of variants that a scaling target is registered for. */
  readonly replicas: 'all' | 'scaled' | 'none'
  readonly weight: boolean
  readonly capture: boolean
}

/** How calls move from the replicas of one configuration to those of the next. */
export interface RolloutPlan {
  /**
   * all-at-once: one step. canary: `stepPercent`, then the rest. linear: `stepPercent` after `stepPercent`. rolling: as linear, and so many of the
   * replicas too: a step's new ones are started when the step comes, and as many of the old ones go after it.
   */
  readonly kind: 'all-at-once' | 'canary' | 'linear' | 'rolling'
  /** Of the calls; 100 for all-at-once. */
  readonly stepPercent: number
  /** Of the new replicas, counts instead of `stepPercent`: their share of all new ones. A step that is all of them moves all calls. */
  readonly stepReplicas?: number
  /** Absent: replicas of scaled variants. */
  readonly retained?: RetainedProperties
  /** Between steps. */
  readonly waitMs: number
  /** After the last step, while the old replicas stay up. Alarms are watched until its end. */
  readonly bakeMs: number
  /** The whole rollout; later it is rolled back. */
  readonly maxDurationMs: number
  /** Names of alarm rules of the server's file, or rules themselves. One that goes off rolls the change back. */
  readonly alarms: readonly (string | AlarmRule)[]
}

/** starting: the new replicas load. shifting: some of the calls go to them. baking: all do. rolling-back: none do, and they go. */
export type RolloutPhase = 'starting' | 'shifting' | 'baking' | 'rolling-back'

export type EndpointStatus = 'Creating' | 'InService' | 'Updating' | 'RollingBack' | 'Deleting' | 'Failed'

export interface EndpointVariant {
  readonly name: string
  readonly model: string
  /** Under which it stands in the ledger and in metrics: `endpoint/variant@generation`. */
  readonly unit: string
  readonly currentWeight: number
  readonly desiredWeight: number
  /** That answer. */
  readonly currentReplicas: number
  readonly desiredReplicas: number
  readonly isShadow: boolean
  readonly serverless: ServerlessTerms | null
}

export interface RolloutView {
  readonly fromConfig: string
  readonly toConfig: string
  readonly plan: RolloutPlan
  /** Of the calls that go to the new replicas now. */
  readonly percent: number
  readonly phase: RolloutPhase
  readonly startedMs: number
}

export interface Endpoint {
  readonly name: string
  readonly config: string
  readonly status: EndpointStatus
  /** Why it failed or was rolled back; null = nothing is wrong. */
  readonly problem: ErrorRecord | null
  readonly variants: readonly EndpointVariant[]
  readonly rollout: RolloutView | null
  /** Of the last update, as it was sent; null = there was none. */
  readonly lastPlan: RolloutPlan | null
  /** Of the configuration that it serves; absent = that has none. */
  readonly capture?: CaptureTerms
  readonly createdMs: number
  readonly modifiedMs: number
}

export interface VariantChange {
  readonly variant: string
  readonly weight: number | null
  readonly replicas: number | null
}

/** In the order of creation, newest last. Methods throw store_failed; create throws conflict for a name that is taken, delete resource_not_found. */
export interface DeploymentDesk {
  createModel(model: Omit<ModelDefinition, 'createdMs'>): Promise<ModelDefinition>
  /** Throws conflict while a configuration names it. */
  deleteModel(name: string): Promise<void>
  findModel(name: string): Promise<ModelDefinition | null>
  listModels(): Promise<readonly ModelDefinition[]>
  /** Throws resource_not_found for a model that is not there. */
  createConfig(config: Omit<EndpointConfig, 'createdMs'>): Promise<EndpointConfig>
  /** Throws conflict while an endpoint uses it. */
  deleteConfig(name: string): Promise<void>
  findConfig(name: string): Promise<EndpointConfig | null>
  listConfigs(): Promise<readonly EndpointConfig[]>
  /** Durable when it resolves; the replicas come after. Throws resource_not_found for a configuration that is not there. */
  createEndpoint(name: string, config: string): Promise<Endpoint>
  /** As a rollout. Throws conflict while the endpoint changes. */
  updateEndpoint(name: string, config: string, plan: RolloutPlan): Promise<Endpoint>
  /** Weights and replicas of variants as they stand. Throws conflict while the endpoint changes, invalid_parameter for a variant it has not. */
  changeVariants(name: string, changes: readonly VariantChange[]): Promise<Endpoint>
  /** Running calls end first. */
  deleteEndpoint(name: string): Promise<void>
  findEndpoint(name: string): Promise<Endpoint | null>
  listEndpoints(): Promise<readonly Endpoint[]>
}
