/** What scales, in AWS's words: metrics by namespace and name, and the names of resources. Used by Application Auto Scaling and CloudWatch. */
import type { AlarmCondition, ScalableTarget, ScalingMetric } from '#contract/scaling'
import { invalid, unsupported } from './fields.ts'

type Place = Pick<ScalableTarget, 'endpoint' | 'variant'>

export interface NamedMetric {
  readonly metric: ScalingMetric
  readonly of: AlarmCondition['of']
  /** As AWS calls them; the first one where none is given. */
  readonly statistics: readonly string[]
  readonly units: readonly string[]
}

export interface AskedMetric {
  readonly Namespace?: string
  readonly MetricName?: string
  readonly Dimensions?: readonly { readonly Name: string; readonly Value: string }[]
  readonly Statistic?: string
  readonly Unit?: string
}

/** Clients show it and take no other form; it stands for no account and no region. */
export const SCALING_ARN = 'arn:aws:application-autoscaling:local:000000000000:'

const EACH = ['Average', 'Minimum', 'Maximum']
const COUNT = ['Count', 'None']
const counted = (metric: ScalingMetric, of: AlarmCondition['of'] = 'replica'): NamedMetric => ({ metric, of, statistics: EACH, units: COUNT })
const METRICS: Readonly<Record<string, NamedMetric>> = {
  'AWS/SageMaker InvocationsPerInstance': { ...counted('invocations'), statistics: ['Sum'] },
  'AWS/SageMaker Invocations': { ...counted('invocations', 'variant'), statistics: ['Sum'] },
  'AWS/SageMaker ConcurrentRequestsPerModel': counted('concurrency'),
  'AWS/SageMaker ApproximateBacklogSizePerInstance': counted('backlog'),
  'AWS/SageMaker ApproximateBacklogSize': counted('backlog', 'variant'),
  'AWS/SageMaker HasBacklogWithoutCapacity': counted('backlog', 'unserved'),
  'inferd Concurrency': counted('concurrency'),
  'inferd Invocations': counted('invocations'),
  'inferd Backlog': counted('backlog'),
  'inferd Tokens': { ...counted('tokens'), units: ['Count/Second', 'None'] },
  'inferd KvUsage': { ...counted('kv-usage'), units: ['None'] },
  'inferd QueueWait': { ...counted('queue-wait'), units: ['Milliseconds'] },
}

/** Throws unsupported_parameter for what is not measured so. `place`: dimensions that are given must be its; null = any. */
export function metricNamed(asked: AskedMetric, place: Place | null): NamedMetric {
  const name = `${asked.Namespace ?? ''} ${asked.MetricName ?? ''}`
  const named = Object.hasOwn(METRICS, name) ? METRICS[name] : undefined
  if (named === undefined)
    throw unsupported('MetricName', `the metric '${name.slice(0, 128)}' is not offered; there are ${Object.keys(METRICS).join(', ')}`)
  const { Statistic: statistic, Unit: unit, Dimensions: dimensions = [] } = asked
  if (statistic !== undefined && !named.statistics.includes(statistic))
    throw unsupported('Statistic', `Statistic of ${name} must be one of ${named.statistics.join(', ')}`)
  if (unit !== undefined && !named.units.includes(unit)) throw unsupported('Unit', `Unit of ${name} must be one of ${named.units.join(', ')}`)
  const values = dimensionsOf(dimensions)
  if (place !== null && ((values.EndpointName ?? place.endpoint) !== place.endpoint || (values.VariantName ?? place.variant) !== place.variant))
    throw unsupported('Dimensions', 'Dimensions must name the endpoint and the variant that are scaled, or be left out')
  return named
}

/** Throws unsupported_parameter for other dimensions. */
export function dimensionsOf(dimensions: NonNullable<AskedMetric['Dimensions']>): { readonly EndpointName?: string; readonly VariantName?: string } {
  const other = dimensions.find(({ Name }) => Name !== 'EndpointName' && Name !== 'VariantName')
  if (other !== undefined)
    throw unsupported('Dimensions', `the dimension '${other.Name.slice(0, 64)}' is not offered; there are EndpointName and VariantName`)
  if (new Set(dimensions.map(({ Name }) => Name)).size < dimensions.length) throw invalid('Dimensions', 'a dimension is given twice')
  return Object.fromEntries(dimensions.map(({ Name, Value }) => [Name, Value]))
}

export function policyArn({ endpoint, variant }: Place, name: string): string {
  return `${SCALING_ARN}scalingPolicy/${endpoint}/${variant}/${name}`
}

/** null = it is none of ours. */
export function readPolicyArn(arn: string): (Place & { readonly name: string }) | null {
  const prefix = `${SCALING_ARN}scalingPolicy/`
  const [endpoint, variant, ...name] = arn.startsWith(prefix) ? arn.slice(prefix.length).split('/') : []
  return endpoint === undefined || variant === undefined || name.length === 0 ? null : { endpoint, variant, name: name.join('/') }
}

export function alarmArn(name: string): string {
  return `arn:aws:cloudwatch:local:000000000000:alarm:${name}`
}
