/** PutMetricAlarm in, an alarm out, and back. Source: PutMetricAlarm of CloudWatch, 2010-08-01. */
import type { AlarmCondition, AlarmState, MetricAlarm, NewAlarm } from '#contract/scaling'
import { invalid, unsupported } from '#server/fields'
import type { JsonObject } from '#server/operation'
import { alarmArn, type AskedMetric, dimensionsOf, metricNamed, readPolicyArn } from '#server/scaling-names'

/** Its members were checked. */
interface AlarmRequest extends AskedMetric {
  readonly AlarmName: string
  readonly ActionsEnabled?: boolean
  readonly AlarmActions?: readonly string[]
  readonly Period?: number
  readonly EvaluationPeriods: number
  readonly DatapointsToAlarm?: number
  readonly Threshold?: number
  readonly ComparisonOperator: string
  readonly TreatMissingData?: string
}

const OPERATORS: Readonly<Record<string, AlarmCondition['operator']>> = {
  GreaterThanThreshold: 'above',
  GreaterThanOrEqualToThreshold: 'at-or-above',
  LessThanThreshold: 'below',
  LessThanOrEqualToThreshold: 'at-or-below',
}
const STATISTICS: Readonly<Record<string, AlarmCondition['statistic']>> = { Average: 'average', Minimum: 'minimum', Maximum: 'maximum', Sum: 'sum' }
const MISSING: Readonly<Record<string, AlarmCondition['missing']>> = {
  breaching: 'breaching',
  notBreaching: 'not-breaching',
  ignore: 'ignore',
  missing: 'missing',
}
const STATES: Readonly<Record<AlarmState, string>> = { ok: 'OK', alarm: 'ALARM', unknown: 'INSUFFICIENT_DATA' }
/** What is not offered; without anything in it, it may be there. */
const NOT_OFFERED: Readonly<Record<string, string>> = {
  OKActions: 'alarms act while they are on',
  InsufficientDataActions: 'alarms act while they are on',
  ExtendedStatistic: 'there are no percentiles but those of QueueWait',
  EvaluateLowSampleCountPercentile: 'there are no percentiles but those of QueueWait',
  Metrics: 'an alarm is over one metric',
  ThresholdMetricId: 'an alarm is over one metric',
  EvaluationCriteria: 'an alarm is over one metric',
  EvaluationInterval: 'alarms are looked at each second',
  Tags: 'alarms have no tags',
}
/** So long is what was measured remembered. */
const MAX_SPAN_S = 3600
const SHORT_PERIODS_S = [10, 20, 30]

/** Throws invalid_parameter and unsupported_parameter. */
export function readAlarm(body: JsonObject): NewAlarm {
  for (const [name, words] of Object.entries(NOT_OFFERED)) {
    const value = body[name]
    if (value !== undefined && !(Array.isArray(value) && value.length === 0)) throw unsupported(name, `${name} is not offered: ${words}`)
  }
  const request = body as unknown as AlarmRequest
  const [place, policies] = readActions(request)
  return {
    name: request.AlarmName,
    ...place,
    condition: readCondition(request, place),
    policies,
    isEnabled: request.ActionsEnabled ?? true,
    request: body,
  }
}

type Place = Pick<NewAlarm, 'endpoint' | 'variant'>

/** Policies of one variant: that whose metric is watched. */
function readActions({ AlarmActions: actions = [], Dimensions: dimensions = [] }: AlarmRequest): readonly [Place, readonly string[]] {
  const policies = actions.map((arn) => {
    const policy = readPolicyArn(arn)
    if (policy === null) throw unsupported('AlarmActions', `'${arn.slice(0, 256)}' is no scaling policy of this server: an alarm starts nothing else`)
    return policy
  })
  const [first] = policies
  if (first === undefined) throw unsupported('AlarmActions', 'AlarmActions must name a scaling policy: an alarm starts nothing else')
  const { endpoint, variant } = first
  const { EndpointName = endpoint, VariantName = variant } = dimensionsOf(dimensions)
  const isElsewhere = policies.some((policy) => policy.endpoint !== EndpointName || policy.variant !== VariantName)
  if (isElsewhere) throw unsupported('AlarmActions', 'AlarmActions must be policies of the variant that Dimensions name')
  return [{ endpoint, variant }, policies.map(({ name }) => name)]
}

function readCondition(request: AlarmRequest, place: Place): AlarmCondition {
  const { Period: periodS, EvaluationPeriods: numPeriods, DatapointsToAlarm: numBreaching = numPeriods, Threshold: threshold } = request
  const { metric, of, statistics } = metricNamed(request, place)
  const operator = OPERATORS[request.ComparisonOperator]
  if (operator === undefined) throw unsupported('ComparisonOperator', `ComparisonOperator must be one of ${Object.keys(OPERATORS).join(', ')}`)
  if (request.Statistic === undefined) throw invalid('Statistic', 'Statistic must be given')
  if (threshold === undefined) throw invalid('Threshold', 'Threshold must be given')
  if (periodS === undefined || !(SHORT_PERIODS_S.includes(periodS) || periodS % 60 === 0))
    throw invalid('Period', 'Period must be 10, 20, 30 or a multiple of 60')
  if (periodS * numPeriods > MAX_SPAN_S) throw unsupported('EvaluationPeriods', `Period times EvaluationPeriods must be at most ${MAX_SPAN_S} s`)
  if (numBreaching > numPeriods) throw invalid('DatapointsToAlarm', 'DatapointsToAlarm must not be more than EvaluationPeriods')
  const missing = MISSING[request.TreatMissingData ?? 'missing']
  if (missing === undefined) throw invalid('TreatMissingData', `TreatMissingData must be one of ${Object.keys(MISSING).join(', ')}`)
  const statistic = STATISTICS[request.Statistic]
  if (statistic === undefined) throw unsupported('Statistic', `Statistic must be one of ${statistics.join(', ')}`)
  return { metric, of, statistic, operator, threshold, periodMs: periodS * 1000, numPeriods, numBreaching, missing }
}

/** Times are dates: each wire writes them its way. */
export function encodeAlarm(alarm: MetricAlarm): JsonObject {
  const since = new Date(alarm.stateSinceMs)
  return {
    OKActions: [],
    InsufficientDataActions: [],
    Dimensions: [],
    TreatMissingData: 'missing',
    ...alarm.request,
    ActionsEnabled: alarm.isEnabled,
    AlarmArn: alarmArn(alarm.name),
    AlarmConfigurationUpdatedTimestamp: new Date(alarm.modifiedMs),
    StateValue: stateWord(alarm.state),
    StateReason: alarm.reason === '' ? 'Unchecked: Initial alarm creation' : alarm.reason,
    StateUpdatedTimestamp: since,
    StateTransitionedTimestamp: since,
  }
}

export function stateWord(state: AlarmState): string {
  return STATES[state]
}
