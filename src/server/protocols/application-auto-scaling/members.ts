/** The members of the operations. Names, bounds, patterns: the service model of Application Auto Scaling, 2016-02-06. */
import { MAX_STEPS } from '#contract/step-bounds'
import type { MemberRule, MemberRules } from '#server/aws-json/member-rules'

type TextRule = Extract<MemberRule, { readonly kind: 'text' }>

const TEXT: TextRule = { kind: 'text', minLength: 1, maxLength: 1600 }
const ANY_INTEGER: MemberRule = { kind: 'integer', min: -2_147_483_648, max: 2_147_483_647 }
const CAPACITY: MemberRule = { kind: 'integer', min: 0, max: 2_147_483_647 }
const SECONDS: MemberRule = { kind: 'integer', min: 0, max: 86_400 }
const NUMBER: MemberRule = { kind: 'number', min: Number.MIN_SAFE_INTEGER }
const FLAG: MemberRule = { kind: 'boolean' }
const TIME: MemberRule = { kind: 'time' }

const NAMESPACE: MemberRule = { kind: 'text', words: ['sagemaker'], isRequired: true }
const PLACE: MemberRules = {
  ServiceNamespace: NAMESPACE,
  ResourceId: { ...TEXT, pattern: 'endpoint/[a-zA-Z0-9-]{1,63}/variant/[a-zA-Z0-9-]{1,63}', isRequired: true },
  ScalableDimension: { kind: 'text', words: ['sagemaker:variant:DesiredInstanceCount'], isRequired: true },
}
const PLACE_OR_ALL: MemberRules = {
  ServiceNamespace: NAMESPACE,
  ResourceId: TEXT,
  ScalableDimension: { kind: 'text', words: ['sagemaker:variant:DesiredInstanceCount'] },
  MaxResults: { kind: 'integer', min: 1, max: 50 },
  NextToken: { kind: 'text', maxLength: 8192 },
}

export const REGISTER: MemberRules = {
  ...PLACE,
  MinCapacity: CAPACITY,
  MaxCapacity: CAPACITY,
  RoleARN: TEXT,
  SuspendedState: {
    kind: 'structure',
    members: { DynamicScalingInSuspended: FLAG, DynamicScalingOutSuspended: FLAG, ScheduledScalingSuspended: FLAG },
  },
  Tags: { kind: 'map', maxItems: 50 },
}

export const DEREGISTER: MemberRules = PLACE

export const DESCRIBE_TARGETS: MemberRules = {
  ServiceNamespace: NAMESPACE,
  ResourceIds: { kind: 'list', maxItems: 50, item: TEXT },
  ScalableDimension: { kind: 'text', words: ['sagemaker:variant:DesiredInstanceCount'] },
  MaxResults: { kind: 'integer', min: 1, max: 50 },
  NextToken: { kind: 'text', maxLength: 8192 },
}

const DIMENSIONS: MemberRule = {
  kind: 'list',
  maxItems: 30,
  item: { kind: 'structure', members: { Name: { ...TEXT, isRequired: true }, Value: { ...TEXT, isRequired: true } } },
}

const STEP: MemberRule = {
  kind: 'structure',
  members: { MetricIntervalLowerBound: NUMBER, MetricIntervalUpperBound: NUMBER, ScalingAdjustment: { ...ANY_INTEGER, isRequired: true } },
}

export const PUT_POLICY: MemberRules = {
  ...PLACE,
  PolicyName: { kind: 'text', minLength: 1, maxLength: 256, pattern: '[^\\p{C}]+', isRequired: true },
  PolicyType: { kind: 'text', words: ['TargetTrackingScaling', 'StepScaling'] },
  TargetTrackingScalingPolicyConfiguration: {
    kind: 'structure',
    members: {
      TargetValue: { ...NUMBER, isRequired: true },
      PredefinedMetricSpecification: {
        kind: 'structure',
        members: { PredefinedMetricType: { ...TEXT, isRequired: true }, ResourceLabel: TEXT },
      },
      CustomizedMetricSpecification: {
        kind: 'structure',
        members: {
          MetricName: TEXT,
          Namespace: TEXT,
          Dimensions: DIMENSIONS,
          Statistic: { kind: 'text', words: ['Average', 'Minimum', 'Maximum', 'SampleCount', 'Sum'] },
          Unit: TEXT,
        },
      },
      ScaleOutCooldown: SECONDS,
      ScaleInCooldown: SECONDS,
      DisableScaleIn: FLAG,
    },
  },
  StepScalingPolicyConfiguration: {
    kind: 'structure',
    members: {
      AdjustmentType: { kind: 'text', words: ['ChangeInCapacity', 'PercentChangeInCapacity', 'ExactCapacity'] },
      StepAdjustments: { kind: 'list', maxItems: MAX_STEPS, item: STEP },
      MinAdjustmentMagnitude: { kind: 'integer', min: 1, max: 2_147_483_647 },
      Cooldown: SECONDS,
      MetricAggregationType: { kind: 'text', words: ['Average', 'Minimum', 'Maximum'] },
    },
  },
}

export const DELETE_POLICY: MemberRules = { ...PLACE, PolicyName: { ...TEXT, isRequired: true } }

export const DESCRIBE_POLICIES: MemberRules = { ...PLACE_OR_ALL, PolicyNames: { kind: 'list', maxItems: 50, item: TEXT } }

export const PUT_SCHEDULE: MemberRules = {
  ...PLACE,
  ScheduledActionName: { kind: 'text', minLength: 1, maxLength: 256, isRequired: true },
  Schedule: TEXT,
  Timezone: TEXT,
  StartTime: TIME,
  EndTime: TIME,
  ScalableTargetAction: { kind: 'structure', members: { MinCapacity: ANY_INTEGER, MaxCapacity: ANY_INTEGER } },
}

export const DELETE_SCHEDULE: MemberRules = { ...PLACE, ScheduledActionName: { ...TEXT, isRequired: true } }

export const DESCRIBE_SCHEDULES: MemberRules = { ...PLACE_OR_ALL, ScheduledActionNames: { kind: 'list', maxItems: 50, item: TEXT } }

export const DESCRIBE_ACTIVITIES: MemberRules = { ...PLACE_OR_ALL, IncludeNotScaledActivities: FLAG }
