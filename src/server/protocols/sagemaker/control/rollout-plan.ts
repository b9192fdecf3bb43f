/** DeploymentConfig of UpdateEndpoint in, the plan of a rollout out, and back. */
import type { RetainedProperties, RolloutPlan } from '#contract/deployment'
import { invalid, unsupported } from '#server/fields'
import type { JsonObject } from '#server/operation'

interface Size {
  readonly Type: string
  readonly Value: number
}

/** Its members were checked. */
interface DeploymentConfig {
  readonly BlueGreenUpdatePolicy?: {
    readonly TrafficRoutingConfiguration: {
      readonly Type: string
      readonly WaitIntervalInSeconds: number
      readonly CanarySize?: Size
      readonly LinearStepSize?: Size
    }
    readonly TerminationWaitInSeconds?: number
    readonly MaximumExecutionTimeoutInSeconds?: number
  }
  readonly RollingUpdatePolicy?: RollingPolicy
  readonly AutoRollbackConfiguration?: { readonly Alarms?: readonly { readonly AlarmName: string }[] }
}

interface RollingPolicy {
  readonly MaximumBatchSize: Size
  readonly WaitIntervalInSeconds: number
  readonly MaximumExecutionTimeoutInSeconds?: number
  readonly RollbackMaximumBatchSize?: Size
}

const KINDS: Readonly<Record<string, RolloutPlan['kind']>> = { ALL_AT_ONCE: 'all-at-once', CANARY: 'canary', LINEAR: 'linear' }
const DEFAULT_DURATION_MS = 1_800_000
const STEP_PERCENT = { min: 1, max: 50 }
const BATCH_PERCENT = { min: 5, max: 50 }

/** Throws invalid_parameter and unsupported_parameter. Without a config all calls move at once. */
export function readPlan(body: JsonObject): RolloutPlan {
  const config = (body['DeploymentConfig'] ?? {}) as DeploymentConfig
  const alarms = config.AutoRollbackConfiguration?.Alarms?.map(({ AlarmName }) => AlarmName) ?? []
  const { BlueGreenUpdatePolicy: policy, RollingUpdatePolicy: rolling } = config
  if (rolling !== undefined && policy !== undefined)
    throw invalid('DeploymentConfig', 'RollingUpdatePolicy and BlueGreenUpdatePolicy are two ways of one update; give only one')
  if (rolling !== undefined) return { ...readRolling(rolling), alarms }
  const routing = policy?.TrafficRoutingConfiguration
  const kind = KINDS[routing?.Type ?? 'ALL_AT_ONCE'] ?? 'all-at-once'
  const size =
    kind === 'canary'
      ? readSize('CanarySize', routing?.CanarySize, STEP_PERCENT)
      : kind === 'linear'
        ? readSize('LinearStepSize', routing?.LinearStepSize, STEP_PERCENT)
        : { stepPercent: 100 }
  return {
    kind,
    ...size,
    waitMs: (routing?.WaitIntervalInSeconds ?? 0) * 1000,
    bakeMs: (policy?.TerminationWaitInSeconds ?? 0) * 1000,
    maxDurationMs: durationMs(policy?.MaximumExecutionTimeoutInSeconds),
    alarms,
  }
}

/** Each batch, the last one too, is watched for the interval before the old replicas are gone for good. */
function readRolling({
  MaximumBatchSize: batch,
  WaitIntervalInSeconds,
  MaximumExecutionTimeoutInSeconds,
  RollbackMaximumBatchSize: back,
}: RollingPolicy): Omit<RolloutPlan, 'alarms'> {
  if (back !== undefined && !(back.Type === 'CAPACITY_PERCENT' && back.Value === 100))
    throw unsupported('RollbackMaximumBatchSize', 'RollbackMaximumBatchSize must be left out or be 100 percent: a rollback is not made in batches')
  const waitMs = WaitIntervalInSeconds * 1000
  return {
    kind: 'rolling',
    ...readSize('MaximumBatchSize', batch, BATCH_PERCENT),
    waitMs,
    bakeMs: waitMs,
    maxDurationMs: durationMs(MaximumExecutionTimeoutInSeconds),
  }
}

function durationMs(seconds: number | undefined): number {
  return seconds === undefined ? DEFAULT_DURATION_MS : seconds * 1000
}

/** A count has no bound but the replicas that there are: more of them than there are is all of them. */
function readSize(
  name: string,
  size: Size | undefined,
  { min, max }: { readonly min: number; readonly max: number },
): Pick<RolloutPlan, 'stepPercent' | 'stepReplicas'> {
  if (size === undefined) throw invalid(name, `${name} must be given with this type of traffic routing`)
  if (size.Type === 'INSTANCE_COUNT') return { stepPercent: 100, stepReplicas: size.Value }
  if (size.Value < min || size.Value > max) throw invalid(name, `${name} must be ${min} to ${max} percent`)
  return { stepPercent: size.Value }
}

/** Throws invalid_parameter. What a scaling target has reached is kept unless counts are excluded by name. */
export function readRetained(body: JsonObject): RetainedProperties {
  const listed = (body['ExcludeRetainedVariantProperties'] ?? []) as readonly { readonly VariantPropertyType: string }[]
  const keepsAll = body['RetainAllVariantProperties'] === true
  if (listed.length > 0 && !keepsAll)
    throw invalid('ExcludeRetainedVariantProperties', 'ExcludeRetainedVariantProperties is for updates with RetainAllVariantProperties')
  const keeps = (property: string): boolean => keepsAll && listed.every(({ VariantPropertyType }) => VariantPropertyType !== property)
  return {
    replicas: !keepsAll ? 'scaled' : keeps('DesiredInstanceCount') ? 'all' : 'none',
    weight: keeps('DesiredWeight'),
    capture: keeps('DataCaptureConfig'),
  }
}

export function encodePlan(plan: RolloutPlan): DeploymentConfig {
  const { alarms } = plan
  const rollback = { Alarms: alarms.map((rule) => ({ AlarmName: typeof rule === 'string' ? rule : rule.name })) }
  return { ...encodePolicy(plan), ...(alarms.length === 0 ? {} : { AutoRollbackConfiguration: rollback }) }
}

function encodePolicy({ kind, stepPercent, stepReplicas, waitMs, bakeMs, maxDurationMs }: RolloutPlan): DeploymentConfig {
  const size: Size = stepReplicas === undefined ? { Type: 'CAPACITY_PERCENT', Value: stepPercent } : { Type: 'INSTANCE_COUNT', Value: stepReplicas }
  const limits = { WaitIntervalInSeconds: waitMs / 1000, MaximumExecutionTimeoutInSeconds: maxDurationMs / 1000 }
  if (kind === 'rolling') return { RollingUpdatePolicy: { MaximumBatchSize: size, ...limits } }
  return {
    BlueGreenUpdatePolicy: {
      TrafficRoutingConfiguration: {
        Type: kind === 'all-at-once' ? 'ALL_AT_ONCE' : kind === 'canary' ? 'CANARY' : 'LINEAR',
        WaitIntervalInSeconds: limits.WaitIntervalInSeconds,
        ...(kind === 'canary' ? { CanarySize: size } : {}),
        ...(kind === 'linear' ? { LinearStepSize: size } : {}),
      },
      TerminationWaitInSeconds: bakeMs / 1000,
      MaximumExecutionTimeoutInSeconds: limits.MaximumExecutionTimeoutInSeconds,
    },
  }
}
