/** PutScalingPolicy in, a rule out, and back. */
import type { ScalingMetric, ScalingPolicy, StepScaling, TargetTracking } from '#contract/scaling'
import { requireSteps } from '#contract/step-bounds'
import { invalid, unsupported } from '#server/fields'
import type { JsonObject } from '#server/operation'
import { type AskedMetric, metricNamed } from '#server/scaling-names'

/** Its members were checked. */
interface Tracking {
  readonly TargetValue: number
  readonly PredefinedMetricSpecification?: { readonly PredefinedMetricType: string; readonly ResourceLabel?: string }
  readonly CustomizedMetricSpecification?: AskedMetric
  readonly ScaleOutCooldown?: number
  readonly ScaleInCooldown?: number
  readonly DisableScaleIn?: boolean
}

/** The same. */
interface Stepping {
  readonly AdjustmentType?: string
  readonly StepAdjustments?: readonly {
    readonly MetricIntervalLowerBound?: number
    readonly MetricIntervalUpperBound?: number
    readonly ScalingAdjustment: number
  }[]
  readonly MinAdjustmentMagnitude?: number
  readonly Cooldown?: number
  readonly MetricAggregationType?: string
}

type Place = Pick<ScalingPolicy, 'endpoint' | 'variant'>
type Rule = Pick<ScalingPolicy, 'rule' | 'request'>

const TRACKING = 'TargetTrackingScalingPolicyConfiguration'
const STEPPING = 'StepScalingPolicyConfiguration'
/** Metrics of AWS that mean one of ours. */
const PREDEFINED: Readonly<Record<string, ScalingMetric>> = {
  SageMakerVariantInvocationsPerInstance: 'invocations',
  SageMakerVariantConcurrentRequestsPerModelHighResolution: 'concurrency',
}
const CUSTOMIZED: Readonly<Record<ScalingMetric, AskedMetric>> = {
  concurrency: { Namespace: 'inferd', MetricName: 'Concurrency' },
  invocations: { Namespace: 'inferd', MetricName: 'Invocations' },
  'queue-wait': { Namespace: 'inferd', MetricName: 'QueueWait' },
  'kv-usage': { Namespace: 'inferd', MetricName: 'KvUsage' },
  tokens: { Namespace: 'inferd', MetricName: 'Tokens' },
  backlog: { Namespace: 'AWS/SageMaker', MetricName: 'ApproximateBacklogSizePerInstance' },
}
const ADJUSTMENTS: Readonly<Record<string, StepScaling['adjustmentType']>> = {
  ChangeInCapacity: 'change',
  PercentChangeInCapacity: 'percent',
  ExactCapacity: 'exact',
}
const AGGREGATIONS = { Average: 'average', Minimum: 'minimum', Maximum: 'maximum' } as const
/** As AWS has it for variants. */
const DEFAULT_COOLDOWN_S = 300

/** `before`: the policy of that name; its type cannot change. Throws invalid_parameter and unsupported_parameter. */
export function readRule(body: JsonObject, place: Place, before: ScalingPolicy | undefined): Rule {
  const type = (body['PolicyType'] as string | undefined) ?? (before?.rule.kind === 'target-tracking' ? 'TargetTrackingScaling' : 'StepScaling')
  const [wanted, other] = type === 'StepScaling' ? [STEPPING, TRACKING] : [TRACKING, STEPPING]
  if (body[other] !== undefined) throw invalid(other, `${other} is not for policies of type ${type}`)
  const request = body[wanted] as JsonObject | undefined
  if (request === undefined) throw invalid(wanted, `${wanted} must be given`)
  const rule = type === 'StepScaling' ? readStepping(request as Stepping) : readTracking(request as unknown as Tracking, place)
  if (before !== undefined && before.rule.kind !== rule.kind)
    throw invalid('PolicyType', `the policy '${before.name}' has another type; delete it first`)
  return { rule, request }
}

function readTracking(configuration: Tracking, place: Place): TargetTracking {
  if (!(configuration.TargetValue > 0)) throw invalid('TargetValue', 'TargetValue must be above 0')
  return {
    kind: 'target-tracking',
    metric: metricOf(configuration, place),
    target: configuration.TargetValue,
    scaleInCooldownMs: (configuration.ScaleInCooldown ?? DEFAULT_COOLDOWN_S) * 1000,
    scaleOutCooldownMs: (configuration.ScaleOutCooldown ?? DEFAULT_COOLDOWN_S) * 1000,
    isScaleInDisabled: configuration.DisableScaleIn ?? false,
  }
}

function metricOf({ PredefinedMetricSpecification: predefined, CustomizedMetricSpecification: customized }: Tracking, place: Place): ScalingMetric {
  if ((predefined === undefined) === (customized === undefined))
    throw invalid('PredefinedMetricSpecification', 'give either PredefinedMetricSpecification or CustomizedMetricSpecification')
  if (customized !== undefined) {
    const { metric, of } = metricNamed(customized, place)
    if (of === 'variant')
      throw unsupported('MetricName', `${customized.MetricName} does not fall when there are more replicas: nothing can keep to it`)
    return metric
  }
  const { PredefinedMetricType: name = '', ResourceLabel: label } = predefined ?? {}
  const metric = Object.hasOwn(PREDEFINED, name) ? PREDEFINED[name] : undefined
  if (metric === undefined)
    throw unsupported('PredefinedMetricType', `the metric '${name.slice(0, 128)}' is not offered; there are ${Object.keys(PREDEFINED).join(', ')}`)
  if (label !== undefined) throw unsupported('ResourceLabel', 'ResourceLabel is for metrics of load balancers, which are not here')
  return metric
}

function readStepping(configuration: Stepping): StepScaling {
  const adjustmentType = ADJUSTMENTS[configuration.AdjustmentType ?? '']
  if (adjustmentType === undefined) throw invalid('AdjustmentType', `AdjustmentType must be one of ${Object.keys(ADJUSTMENTS).join(', ')}`)
  if (configuration.MinAdjustmentMagnitude !== undefined && adjustmentType !== 'percent')
    throw invalid('MinAdjustmentMagnitude', 'MinAdjustmentMagnitude is for the AdjustmentType PercentChangeInCapacity')
  const steps = (configuration.StepAdjustments ?? []).map(
    ({ MetricIntervalLowerBound: lower = null, MetricIntervalUpperBound: upper = null, ScalingAdjustment: adjustment }) => ({
      lower,
      upper,
      adjustment,
    }),
  )
  return {
    kind: 'step',
    trigger: null,
    adjustmentType,
    minAdjustment: configuration.MinAdjustmentMagnitude ?? 1,
    steps: requireSteps(steps, adjustmentType, 'StepAdjustments'),
    cooldownMs: (configuration.Cooldown ?? DEFAULT_COOLDOWN_S) * 1000,
    aggregation: AGGREGATIONS[(configuration.MetricAggregationType as keyof typeof AGGREGATIONS | undefined) ?? 'Average'],
  }
}

/** As it was sent, with what AWS adds; one of a document as it would be sent. */
export function encodeRule({ rule, request }: ScalingPolicy): object {
  if (rule.kind === 'step') {
    const defaults = { Cooldown: rule.cooldownMs / 1000, MetricAggregationType: titled(rule.aggregation) }
    return { PolicyType: 'StepScaling', [STEPPING]: { ...defaults, ...(request ?? steppingOf(rule)) } }
  }
  const defaults = {
    ScaleInCooldown: rule.scaleInCooldownMs / 1000,
    ScaleOutCooldown: rule.scaleOutCooldownMs / 1000,
    DisableScaleIn: rule.isScaleInDisabled,
  }
  const predefined = Object.entries(PREDEFINED).find(([, metric]) => metric === rule.metric)?.[0]
  const specification =
    predefined === undefined
      ? { CustomizedMetricSpecification: { ...CUSTOMIZED[rule.metric], Statistic: 'Average' } }
      : { PredefinedMetricSpecification: { PredefinedMetricType: predefined } }
  return { PolicyType: 'TargetTrackingScaling', [TRACKING]: { ...defaults, ...(request ?? { TargetValue: rule.target, ...specification }) } }
}

function steppingOf({ adjustmentType, steps, minAdjustment }: StepScaling): object {
  return {
    AdjustmentType: Object.keys(ADJUSTMENTS).find((name) => ADJUSTMENTS[name] === adjustmentType),
    StepAdjustments: steps.map(({ lower, upper, adjustment }) => ({
      ...(lower === null ? {} : { MetricIntervalLowerBound: lower }),
      ...(upper === null ? {} : { MetricIntervalUpperBound: upper }),
      ScalingAdjustment: adjustment,
    })),
    ...(adjustmentType === 'percent' ? { MinAdjustmentMagnitude: minAdjustment } : {}),
  }
}

function titled(word: string): string {
  return `${word[0]?.toUpperCase()}${word.slice(1)}`
}
