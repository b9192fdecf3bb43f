/** PutScalingPolicy in, a rule out, and back. */
import type { ScalingMetric, ScalingPolicy, TargetTracking } from '#contract/scaling'
import { invalid, unsupported } from '#server/fields'
import type { JsonObject } from '#server/operation'

/** Its members were checked. */
interface Configuration {
  readonly TargetValue: number
  readonly PredefinedMetricSpecification?: { readonly PredefinedMetricType: string }
  readonly CustomizedMetricSpecification?: { readonly MetricName?: string; readonly Namespace?: string }
  readonly ScaleOutCooldown?: number
  readonly ScaleInCooldown?: number
  readonly DisableScaleIn?: boolean
}

/** Metrics of AWS that mean one of ours. */
const PREDEFINED: Readonly<Record<string, ScalingMetric>> = {
  SageMakerVariantInvocationsPerInstance: 'invocations',
  SageMakerVariantConcurrentRequestsPerModelHighResolution: 'concurrency',
}
const OF_AWS: Readonly<Record<string, ScalingMetric>> = {
  'AWS/SageMaker ApproximateBacklogSizePerInstance': 'backlog',
  'inferd Concurrency': 'concurrency',
  'inferd Invocations': 'invocations',
  'inferd QueueWait': 'queue-wait',
  'inferd KvUsage': 'kv-usage',
  'inferd Tokens': 'tokens',
  'inferd Backlog': 'backlog',
}
/** As AWS has it for variants. */
const DEFAULT_COOLDOWN_S = 300

/** Throws invalid_parameter and unsupported_parameter. */
export function readRule(body: JsonObject): TargetTracking {
  if (body['PolicyType'] === 'StepScaling' || (body['PolicyType'] ?? null) === null)
    throw unsupported('PolicyType', 'PolicyType must be TargetTrackingScaling: alarms of CloudWatch, which step scaling needs, are not there')
  const configuration = body['TargetTrackingScalingPolicyConfiguration'] as Configuration | undefined
  if (configuration === undefined) throw invalid('TargetTrackingScalingPolicyConfiguration', 'TargetTrackingScalingPolicyConfiguration must be given')
  if (!(configuration.TargetValue > 0)) throw invalid('TargetValue', 'TargetValue must be above 0')
  return {
    kind: 'target-tracking',
    metric: metricOf(configuration),
    target: configuration.TargetValue,
    scaleInCooldownMs: (configuration.ScaleInCooldown ?? DEFAULT_COOLDOWN_S) * 1000,
    scaleOutCooldownMs: (configuration.ScaleOutCooldown ?? DEFAULT_COOLDOWN_S) * 1000,
    isScaleInDisabled: configuration.DisableScaleIn ?? false,
  }
}

function metricOf({ PredefinedMetricSpecification: predefined, CustomizedMetricSpecification: customized }: Configuration): ScalingMetric {
  if ((predefined === undefined) === (customized === undefined))
    throw invalid('PredefinedMetricSpecification', 'give either PredefinedMetricSpecification or CustomizedMetricSpecification')
  const name = predefined?.PredefinedMetricType ?? `${customized?.Namespace ?? ''} ${customized?.MetricName ?? ''}`
  const known = predefined === undefined ? OF_AWS : PREDEFINED
  const metric = Object.hasOwn(known, name) ? known[name] : undefined
  if (metric === undefined)
    throw unsupported('MetricSpecification', `the metric '${name.slice(0, 128)}' is not offered; there are ${Object.keys(known).join(', ')}`)
  return metric
}

export function encodeRule({ rule }: ScalingPolicy): object {
  if (rule.kind !== 'target-tracking') return { PolicyType: 'StepScaling' }
  const predefined = Object.entries(PREDEFINED).find(([, metric]) => metric === rule.metric)?.[0]
  const [namespace, name] = (Object.entries(OF_AWS).find(([, metric]) => metric === rule.metric)?.[0] ?? '').split(' ')
  return {
    PolicyType: 'TargetTrackingScaling',
    TargetTrackingScalingPolicyConfiguration: {
      TargetValue: rule.target,
      ...(predefined === undefined
        ? { CustomizedMetricSpecification: { MetricName: name, Namespace: namespace, Statistic: 'Average' } }
        : { PredefinedMetricSpecification: { PredefinedMetricType: predefined } }),
      ScaleInCooldown: rule.scaleInCooldownMs / 1000,
      ScaleOutCooldown: rule.scaleOutCooldownMs / 1000,
      DisableScaleIn: rule.isScaleInDisabled,
    },
  }
}
