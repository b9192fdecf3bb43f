/** The members of the operations. Names and bounds: the service model of CloudWatch, 2010-08-01. */
import type { MemberRule, MemberRules } from '#server/aws-json/member-rules'

type TextRule = Extract<MemberRule, { readonly kind: 'text' }>

const TEXT: TextRule = { kind: 'text', minLength: 1, maxLength: 1024 }
const NAME: TextRule = { ...TEXT, maxLength: 255 }
const COUNT: MemberRule = { kind: 'integer', min: 1, max: 2_147_483_647 }
const RESOURCES: MemberRule = { kind: 'list', maxItems: 5, item: TEXT }
const ANY_STRUCTURES: MemberRule = { kind: 'list', maxItems: 500, item: { kind: 'any' } }
const NAMES: MemberRule = { kind: 'list', maxItems: 100, item: NAME }

export const PUT_ALARM: MemberRules = {
  AlarmName: { ...NAME, isRequired: true },
  AlarmDescription: { kind: 'text', maxLength: 1024 },
  ActionsEnabled: { kind: 'boolean' },
  OKActions: RESOURCES,
  AlarmActions: RESOURCES,
  InsufficientDataActions: RESOURCES,
  MetricName: NAME,
  Namespace: { ...NAME, pattern: '[^:].*' },
  Statistic: { kind: 'text', words: ['SampleCount', 'Average', 'Sum', 'Minimum', 'Maximum'] },
  ExtendedStatistic: TEXT,
  Dimensions: {
    kind: 'list',
    maxItems: 30,
    item: { kind: 'structure', members: { Name: { ...NAME, isRequired: true }, Value: { ...TEXT, isRequired: true } } },
  },
  Period: COUNT,
  Unit: NAME,
  EvaluationPeriods: { ...COUNT, isRequired: true },
  DatapointsToAlarm: COUNT,
  Threshold: { kind: 'number', min: Number.MIN_SAFE_INTEGER },
  ComparisonOperator: {
    kind: 'text',
    words: [
      'GreaterThanOrEqualToThreshold',
      'GreaterThanThreshold',
      'LessThanThreshold',
      'LessThanOrEqualToThreshold',
      'LessThanLowerOrGreaterThanUpperThreshold',
      'LessThanLowerThreshold',
      'GreaterThanUpperThreshold',
    ],
    isRequired: true,
  },
  TreatMissingData: NAME,
  EvaluateLowSampleCountPercentile: NAME,
  Metrics: ANY_STRUCTURES,
  Tags: ANY_STRUCTURES,
  ThresholdMetricId: NAME,
  EvaluationCriteria: { kind: 'any' },
  EvaluationInterval: COUNT,
}

export const DESCRIBE_ALARMS: MemberRules = {
  AlarmNames: NAMES,
  AlarmNamePrefix: NAME,
  AlarmTypes: { kind: 'list', maxItems: 2, item: { kind: 'text', words: ['MetricAlarm', 'CompositeAlarm'] } },
  ChildrenOfAlarmName: NAME,
  ParentsOfAlarmName: NAME,
  StateValue: { kind: 'text', words: ['OK', 'ALARM', 'INSUFFICIENT_DATA'] },
  ActionPrefix: TEXT,
  MaxRecords: { kind: 'integer', min: 1, max: 100 },
  NextToken: { kind: 'text', maxLength: 8192 },
}

export const DELETE_ALARMS: MemberRules = { AlarmNames: { ...NAMES, isRequired: true } }
