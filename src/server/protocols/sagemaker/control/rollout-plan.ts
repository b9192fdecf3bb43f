/** DeploymentConfig of UpdateEndpoint in, the plan of a rollout out, and back. */
import type { RolloutPlan } from '#contract/deployment'
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
  readonly AutoRollbackConfiguration?: { readonly Alarms?: readonly { readonly AlarmName: string }[] }
}

const KINDS: Readonly<Record<string, RolloutPlan['kind']>> = { ALL_AT_ONCE: 'all-at-once', CANARY: 'canary', LINEAR: 'linear' }
const DEFAULT_DURATION_MS = 1_800_000
const MAX_STEP_PERCENT = 50

/** Throws invalid_parameter and unsupported_parameter. Without a config all calls move at once. */
export function readPlan(body: JsonObject): RolloutPlan {
  const config = (body['DeploymentConfig'] ?? {}) as DeploymentConfig
  const policy = config.BlueGreenUpdatePolicy
  const routing = policy?.TrafficRoutingConfiguration
  const kind = KINDS[routing?.Type ?? 'ALL_AT_ONCE'] ?? 'all-at-once'
  return {
    kind,
    stepPercent:
      kind === 'all-at-once'
        ? 100
        : kind === 'canary'
          ? percentOf('CanarySize', routing?.CanarySize)
          : percentOf('LinearStepSize', routing?.LinearStepSize),
    waitMs: (routing?.WaitIntervalInSeconds ?? 0) * 1000,
    bakeMs: (policy?.TerminationWaitInSeconds ?? 0) * 1000,
    maxDurationMs: policy?.MaximumExecutionTimeoutInSeconds === undefined ? DEFAULT_DURATION_MS : policy.MaximumExecutionTimeoutInSeconds * 1000,
    alarms: config.AutoRollbackConfiguration?.Alarms?.map(({ AlarmName }) => AlarmName) ?? [],
  }
}

function percentOf(name: string, size: Size | undefined): number {
  if (size === undefined) throw invalid(name, `${name} must be given with this type of traffic routing`)
  if (size.Type !== 'CAPACITY_PERCENT') throw unsupported(name, `${name}: only CAPACITY_PERCENT is offered`)
  if (size.Value > MAX_STEP_PERCENT) throw invalid(name, `${name} must be at most ${MAX_STEP_PERCENT} percent`)
  return size.Value
}

export function encodePlan({ kind, stepPercent, waitMs, bakeMs, maxDurationMs, alarms }: RolloutPlan): DeploymentConfig {
  const size: Size = { Type: 'CAPACITY_PERCENT', Value: stepPercent }
  return {
    BlueGreenUpdatePolicy: {
      TrafficRoutingConfiguration: {
        Type: kind === 'all-at-once' ? 'ALL_AT_ONCE' : kind === 'canary' ? 'CANARY' : 'LINEAR',
        WaitIntervalInSeconds: waitMs / 1000,
        ...(kind === 'canary' ? { CanarySize: size } : {}),
        ...(kind === 'linear' ? { LinearStepSize: size } : {}),
      },
      TerminationWaitInSeconds: bakeMs / 1000,
      MaximumExecutionTimeoutInSeconds: maxDurationMs / 1000,
    },
    ...(alarms.length === 0
      ? {}
      : { AutoRollbackConfiguration: { Alarms: alarms.map((rule) => ({ AlarmName: typeof rule === 'string' ? rule : rule.name })) } }),
  }
}
