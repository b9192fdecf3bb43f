/** What is deployed on the server of the wire scene: one endpoint in the midst of a rollout, scaled; nothing can be changed. */
import type { ComparedUnit, Comparison } from '#contract/comparison'
import type { DeclarationDesk } from '#contract/declaration'
import type { DeploymentDesk, Endpoint, EndpointConfig, ModelDefinition } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import type { MetricAlarm, ScalableTarget, ScalingActivity, ScalingDesk, ScalingPolicy } from '#contract/scaling'

const WALL_MS = 1_700_000_000_000
const PLACE = { endpoint: 'chat', variant: 'main' } as const
const PLAN = { kind: 'canary', stepPercent: 10, waitMs: 60_000, bakeMs: 0, maxDurationMs: 600_000, alarms: ['slow'] } as const

const MODEL: ModelDefinition = {
  name: 'm',
  source: { kind: 'served', model: 'tiny' },
  kvCacheMib: null,
  request: { PrimaryContainer: { Environment: { HF_MODEL_ID: 'tiny' } } },
  createdMs: WALL_MS,
}
const CONFIG: EndpointConfig = {
  name: 'chat-1',
  variants: [{ name: 'main', model: 'm', weight: 1, replicas: 2, serverless: null }],
  shadows: [],
  request: { ProductionVariants: [{ VariantName: 'main', ModelName: 'm', InitialInstanceCount: 2 }] },
  createdMs: WALL_MS,
}
const ENDPOINT: Endpoint = {
  name: 'chat',
  config: 'chat-1',
  status: 'Updating',
  problem: null,
  variants: [
    {
      name: 'main',
      model: 'm',
      unit: 'chat/main@1',
      currentWeight: 1,
      desiredWeight: 1,
      currentReplicas: 1,
      desiredReplicas: 2,
      isShadow: false,
      serverless: null,
    },
  ],
  rollout: { fromConfig: 'chat-1', toConfig: 'chat-2', plan: PLAN, percent: 10, phase: 'shifting', startedMs: WALL_MS },
  lastPlan: PLAN,
  createdMs: WALL_MS,
  modifiedMs: WALL_MS + 1000,
}
const TARGET: ScalableTarget = {
  ...PLACE,
  minReplicas: 1,
  maxReplicas: 4,
  setBounds: { minReplicas: 1, maxReplicas: 4 },
  isScaleInSuspended: false,
  isScaleOutSuspended: false,
  isScheduleSuspended: false,
  createdMs: WALL_MS,
}
const POLICY: ScalingPolicy = {
  ...PLACE,
  name: 'follow',
  rule: { kind: 'target-tracking', metric: 'backlog', target: 5, scaleInCooldownMs: 60_000, scaleOutCooldownMs: 5000, isScaleInDisabled: false },
  request: null,
  createdMs: WALL_MS,
}
const ALARM: MetricAlarm = {
  ...PLACE,
  name: 'hot',
  condition: {
    metric: 'concurrency',
    of: 'replica',
    statistic: 'average',
    operator: 'above',
    threshold: 4,
    periodMs: 60_000,
    numPeriods: 2,
    numBreaching: 2,
    missing: 'missing',
  },
  policies: ['steps'],
  isEnabled: true,
  request: {
    Namespace: 'AWS/SageMaker',
    MetricName: 'ConcurrentRequestsPerModel',
    Statistic: 'Average',
    Dimensions: [{ Name: 'EndpointName', Value: 'chat' }],
    AlarmDescription: 'too <hot> & busy',
    AlarmActions: ['arn:aws:application-autoscaling:local:000000000000:scalingPolicy/chat/main/steps'],
  },
  state: 'ok',
  reason: 'concurrency was 1 in the last periods of 60 s',
  stateSinceMs: WALL_MS,
  createdMs: WALL_MS,
  modifiedMs: WALL_MS,
}
const ACTIVITY: ScalingActivity = {
  ...PLACE,
  id: 'activity-1',
  cause: 'policy follow: backlog is 9, the target 5 a replica',
  from: 1,
  to: 2,
  atMs: WALL_MS,
}

async function refuse(): Promise<never> {
  throw new InferdError('conflict', "the endpoint 'chat' is Updating")
}

export const fixedDeployments: DeploymentDesk = {
  createModel: refuse,
  deleteModel: refuse,
  findModel: async (name) => (name === MODEL.name ? MODEL : null),
  listModels: async () => [MODEL],
  createConfig: refuse,
  deleteConfig: refuse,
  findConfig: async (name) => (name === CONFIG.name ? CONFIG : null),
  listConfigs: async () => [CONFIG],
  createEndpoint: refuse,
  updateEndpoint: refuse,
  changeVariants: refuse,
  deleteEndpoint: refuse,
  findEndpoint: async (name) => (name === ENDPOINT.name ? ENDPOINT : null),
  listEndpoints: async () => [ENDPOINT],
}

export const fixedScaling: ScalingDesk = {
  putTarget: refuse,
  deleteTarget: refuse,
  listTargets: async () => [TARGET],
  putPolicy: refuse,
  deletePolicy: refuse,
  listPolicies: async () => [POLICY],
  putSchedule: refuse,
  deleteSchedule: refuse,
  listSchedules: async () => [],
  listActivities: async () => [ACTIVITY],
  putAlarm: refuse,
  deleteAlarms: refuse,
  listAlarms: async () => [ALARM],
}

export const fixedDeclarations: DeclarationDesk = {
  plan: async () => [{ action: 'update', kind: 'endpoint', name: 'chat', details: ['variants[0].weight: 1 -> 2'] }],
  apply: refuse,
}

const COMPARED_UNIT: ComparedUnit = { name: 'main@1', isShadow: false, numCalls: 120, numErrors: 2, numSampled: 118 }

export const FIXED_COMPARISON: Comparison = {
  endpoint: 'chat',
  fromMs: 1_700_000_000_000,
  toMs: 1_700_086_400_000,
  baseline: COMPARED_UNIT,
  comparisons: [
    {
      candidate: { ...COMPARED_UNIT, name: 'trial@1', isShadow: true },
      metrics: [
        { metric: 'ttft', scale: 'ratio', baseline: 100, candidate: 125, estimate: 1.25, low: 1.1, high: 4 / 3, verdict: 'worse', callsNeeded: 900 },
        {
          metric: 'cost',
          scale: 'difference',
          baseline: 0.01,
          candidate: null,
          estimate: null,
          low: null,
          high: null,
          verdict: 'too-little-data',
          callsNeeded: null,
        },
      ],
    },
  ],
  confidence: 0.95,
  numVerdicts: 7,
}
