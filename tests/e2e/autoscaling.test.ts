/** Replicas that follow real load on a real server, by the client of Application Auto Scaling. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  DeleteScalingPolicyCommand,
  DeleteScheduledActionCommand,
  DeregisterScalableTargetCommand,
  DescribeScalableTargetsCommand,
  DescribeScalingActivitiesCommand,
  DescribeScalingPoliciesCommand,
  DescribeScheduledActionsCommand,
  PutScalingPolicyCommand,
  PutScheduledActionCommand,
  RegisterScalableTargetCommand,
  type StepScalingPolicyConfiguration,
} from '@aws-sdk/client-application-auto-scaling'
import {
  DeleteEndpointCommand,
  DescribeEndpointCommand,
  UpdateEndpointWeightsAndCapacitiesCommand,
  waitUntilEndpointDeleted,
} from '@aws-sdk/client-sagemaker'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { ask, awsClients, makeConfig, makeEndpoint, makeModel, WAIT, type AwsClients } from './aws-clients.ts'
import { InferdProcess } from './inferd-process.ts'

const PLACE = {
  ServiceNamespace: 'sagemaker',
  ResourceId: 'endpoint/busy/variant/main',
  ScalableDimension: 'sagemaker:variant:DesiredInstanceCount',
} as const
const POLICY = {
  TargetValue: 2,
  PredefinedMetricSpecification: { PredefinedMetricType: 'SageMakerVariantConcurrentRequestsPerModelHighResolution' },
  ScaleInCooldown: 5,
  ScaleOutCooldown: 1,
} as const

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-autoscaling-'))
let server: InferdProcess
let aws: AwsClients

beforeAll(async () => {
  server = await (await InferdProcess.start('--log-level', 'warn', '--data-dir', folder)).ready()
  aws = awsClients(server.baseUrl)
  await makeModel(aws, 'busy')
  await makeConfig(aws, 'busy', { model: 'busy' })
  await makeEndpoint(aws, 'busy', 'busy')
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function replicas(): Promise<number> {
  return (await aws.control.send(new DescribeEndpointCommand({ EndpointName: 'busy' }))).ProductionVariants?.[0]?.DesiredInstanceCount ?? 0
}

async function replicasAre(wanted: number): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if ((await replicas()) === wanted) return
    await sleep(100)
  }
  expect(await replicas()).toBe(wanted)
}

async function cloudwatch(operation: string, body: object): Promise<unknown> {
  const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `GraniteServiceVersion20100801.${operation}` }
  return (await fetch(server.baseUrl, { method: 'POST', headers, body: JSON.stringify(body) })).json()
}

/** Of the last look, which is a second old at most. */
async function metricsSay(line: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if ((await metrics()).includes(line)) return
    await sleep(100)
  }
  expect((await metrics()).filter((other) => other.startsWith('inferd_scaling'))).toContain(line)
}

async function metrics(): Promise<readonly string[]> {
  return (await (await fetch(`${server.baseUrl}/metrics`)).text()).split('\n')
}

test('load brings replicas, its end takes them away, and no call fails', async () => {
  await aws.scaling.send(new RegisterScalableTargetCommand({ ...PLACE, MinCapacity: 1, MaxCapacity: 3 }))
  const named = { ...PLACE, PolicyName: 'follow', PolicyType: 'TargetTrackingScaling' } as const
  await aws.scaling.send(new PutScalingPolicyCommand({ ...named, TargetTrackingScalingPolicyConfiguration: POLICY }))
  const load = new AbortController()
  let numAnswers = 0
  const client = async (): Promise<void> => {
    while (!load.signal.aborted) {
      await ask(aws, 'busy', { tokens: 200 })
      numAnswers++
    }
  }
  const clients = Array.from({ length: 6 }, client)
  await replicasAre(3)
  load.abort()
  await Promise.all(clients)
  await replicasAre(1)
  expect(numAnswers).toBeGreaterThan(6)
  const { ScalingActivities } = await aws.scaling.send(new DescribeScalingActivitiesCommand(PLACE))
  expect(ScalingActivities?.map(({ StatusCode }) => StatusCode)).toSatisfy(
    (codes: string[]) => codes.length >= 2 && codes.every((code) => code === 'Successful'),
  )
  expect(ScalingActivities?.at(-1)?.Cause).toMatch(/policy follow: concurrency is [\d.]+, the target 2 a replica/)
})

test('a scheduled action sets the bounds of its target and is over', async () => {
  const at = new Date(Date.now() + 2000).toISOString().slice(0, 19)
  await aws.scaling.send(
    new PutScheduledActionCommand({
      ...PLACE,
      ScheduledActionName: 'soon',
      Schedule: `at(${at})`,
      ScalableTargetAction: { MinCapacity: 2, MaxCapacity: 4 },
    }),
  )
  expect((await aws.scaling.send(new DescribeScheduledActionsCommand(PLACE))).ScheduledActions).toMatchObject([
    { ScheduledActionName: 'soon', Schedule: `at(${at})` },
  ])
  await replicasAre(2)
  expect((await aws.scaling.send(new DescribeScalableTargetsCommand({ ServiceNamespace: 'sagemaker' }))).ScalableTargets).toMatchObject([
    { ResourceId: PLACE.ResourceId, MinCapacity: 2, MaxCapacity: 4 },
  ])
  expect((await aws.scaling.send(new DescribeScheduledActionsCommand(PLACE))).ScheduledActions).toEqual([])
})

test('an alarm starts the steps of its policy, and what was done is known after a restart', async () => {
  const steps: StepScalingPolicyConfiguration = {
    AdjustmentType: 'ExactCapacity',
    StepAdjustments: [{ MetricIntervalLowerBound: 0, ScalingAdjustment: 3 }],
    Cooldown: 600,
  }
  const stepped = { ...PLACE, PolicyName: 'steps', PolicyType: 'StepScaling', StepScalingPolicyConfiguration: steps } as const
  await aws.scaling.send(new RegisterScalableTargetCommand({ ...PLACE, MinCapacity: 2, MaxCapacity: 4 }))
  const { PolicyARN } = await aws.scaling.send(new PutScalingPolicyCommand(stepped))
  const alarm = {
    AlarmName: 'any',
    Namespace: 'AWS/SageMaker',
    MetricName: 'ConcurrentRequestsPerModel',
    Dimensions: [{ Name: 'EndpointName', Value: 'busy' }],
    Statistic: 'Average',
    Period: 10,
    EvaluationPeriods: 1,
    Threshold: 0,
    ComparisonOperator: 'GreaterThanOrEqualToThreshold',
    AlarmActions: [PolicyARN],
  }
  expect(await cloudwatch('PutMetricAlarm', alarm)).toEqual({})
  await replicasAre(3)
  expect(await cloudwatch('DescribeAlarms', {})).toMatchObject({ MetricAlarms: [{ AlarmName: 'any', StateValue: 'ALARM' }] })
  const activitiesOf = async (): Promise<unknown[]> => (await aws.scaling.send(new DescribeScalingActivitiesCommand(PLACE))).ScalingActivities ?? []
  const before = await activitiesOf()
  expect(before[0]).toMatchObject({ Cause: 'policy steps: alarm any, concurrency is 0, above 0' })
  await metricsSay('inferd_scaling_replicas{endpoint="busy",variant="main",count="desired"} 3')
  await metricsSay('inferd_scaling_replicas{endpoint="busy",variant="main",count="max"} 4')
  await metricsSay('inferd_scaling_decisions_total{endpoint="busy",variant="main",cause="step",outcome="out"} 1')
  await server[Symbol.asyncDispose]()
  server = await (await InferdProcess.start('--log-level', 'warn', '--data-dir', folder)).ready()
  aws = awsClients(server.baseUrl)
  expect(await activitiesOf()).toEqual(before)
  await cloudwatch('DeleteAlarms', { AlarmNames: ['any'] })
  await aws.scaling.send(new DeleteScalingPolicyCommand({ ...PLACE, PolicyName: 'steps' }))
})

test('policies are shown as they were sent; what is not there says so', async () => {
  const { ScalingPolicies } = await aws.scaling.send(new DescribeScalingPoliciesCommand(PLACE))
  expect(ScalingPolicies).toMatchObject([{ PolicyName: 'follow', TargetTrackingScalingPolicyConfiguration: { ...POLICY, DisableScaleIn: false } }])
  const nothing = { name: 'ObjectNotFoundException' }
  await expect(aws.scaling.send(new DeleteScalingPolicyCommand({ ...PLACE, PolicyName: 'none' }))).rejects.toMatchObject(nothing)
  await expect(aws.scaling.send(new DeleteScheduledActionCommand({ ...PLACE, ScheduledActionName: 'none' }))).rejects.toMatchObject(nothing)
  await aws.scaling.send(new DeleteScalingPolicyCommand({ ...PLACE, PolicyName: 'follow' }))
  await aws.scaling.send(new DeregisterScalableTargetCommand(PLACE))
  await expect(aws.scaling.send(new DeregisterScalableTargetCommand(PLACE))).rejects.toMatchObject(nothing)
})

test.each([
  [
    'RegisterScalableTarget',
    { ...PLACE, ResourceId: 'endpoint/none/variant/main', MinCapacity: 1, MaxCapacity: 2 },
    'ValidationException',
    /there is no variant/,
  ],
  ['RegisterScalableTarget', { ...PLACE, MinCapacity: 3, MaxCapacity: 2 }, 'ValidationException', /0 to 64 replicas/],
  ['RegisterScalableTarget', { ...PLACE, MinCapacity: 0, MaxCapacity: 65 }, 'ValidationException', /0 to 64 replicas/],
  ['RegisterScalableTarget', { ...PLACE, MinCapacity: 0, MaxCapacity: 0 }, 'ValidationException', /0 to 64 replicas/],
  ['RegisterScalableTarget', { ...PLACE, ServiceNamespace: 'ecs', MinCapacity: 1, MaxCapacity: 2 }, 'ValidationException', /enum value set/],
  ['RegisterScalableTarget', PLACE, 'ValidationException', /MinCapacity and MaxCapacity must be given/],
  [
    'PutScalingPolicy',
    { ...PLACE, PolicyName: 'p', PolicyType: 'StepScaling' },
    'ValidationException',
    /StepScalingPolicyConfiguration must be given/,
  ],
  [
    'PutScalingPolicy',
    { ...PLACE, PolicyName: 'p', PolicyType: 'StepScaling', TargetTrackingScalingPolicyConfiguration: POLICY },
    'ValidationException',
    /is not for policies of type StepScaling/,
  ],
  [
    'PutScalingPolicy',
    {
      ...PLACE,
      PolicyName: 'p',
      PolicyType: 'StepScaling',
      StepScalingPolicyConfiguration: {
        AdjustmentType: 'ChangeInCapacity',
        MinAdjustmentMagnitude: 2,
        StepAdjustments: [{ MetricIntervalLowerBound: 0, ScalingAdjustment: 1 }],
      },
    },
    'ValidationException',
    /MinAdjustmentMagnitude is for/,
  ],
  ...(
    [
      [{ Dimensions: [{ Name: 'EndpointName', Value: 'other' }] }, /Dimensions must name the endpoint/],
      [{ Dimensions: [{ Name: 'InstanceId', Value: 'i' }] }, /dimension 'InstanceId' is not offered/],
      [{ Statistic: 'Sum' }, /Statistic of inferd Tokens must be one of Average, Minimum, Maximum/],
      [{ Unit: 'Bytes' }, /Unit of inferd Tokens must be one of/],
      [{ Namespace: 'AWS/SageMaker', MetricName: 'Invocations' }, /nothing can keep to it/],
    ] as const
  ).map(
    ([more, words]) =>
      [
        'PutScalingPolicy',
        {
          ...PLACE,
          PolicyName: 'p',
          PolicyType: 'TargetTrackingScaling',
          TargetTrackingScalingPolicyConfiguration: {
            TargetValue: 1,
            CustomizedMetricSpecification: { Namespace: 'inferd', MetricName: 'Tokens', ...more },
          },
        },
        'ValidationException',
        words,
      ] as const,
  ),
  [
    'PutScalingPolicy',
    { ...PLACE, PolicyName: 'p', PolicyType: 'TargetTrackingScaling', TargetTrackingScalingPolicyConfiguration: { ...POLICY, TargetValue: 0 } },
    'ValidationException',
    /above 0/,
  ],
  [
    'PutScalingPolicy',
    {
      ...PLACE,
      PolicyName: 'p',
      PolicyType: 'TargetTrackingScaling',
      TargetTrackingScalingPolicyConfiguration: {
        TargetValue: 1,
        PredefinedMetricSpecification: { PredefinedMetricType: 'ECSServiceAverageCPUUtilization' },
      },
    },
    'ValidationException',
    /is not offered; there are/,
  ],
  [
    'PutScheduledAction',
    { ...PLACE, ScheduledActionName: 's', Schedule: 'soon', ScalableTargetAction: { MinCapacity: 1 } },
    'ValidationException',
    /must be at/,
  ],
  ['PutScheduledAction', { ...PLACE, ScheduledActionName: 's', Schedule: 'rate(1 day)' }, 'ValidationException', /ScalableTargetAction/],
  ['PutResourcePolicy', {}, 'ValidationException', /PutResourcePolicy is not offered/],
] as const)('%s %j is refused', async (operation, body, type, words) => {
  const response = await fetch(server.baseUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `AnyScaleFrontendService.${operation}` },
    body: JSON.stringify(body),
  })
  expect(response.status).toBe(400)
  const told = (await response.json()) as { readonly __type: string; readonly message: string }
  expect(told.message).toMatch(words)
  expect(told.__type).toBe(type)
})

test('an endpoint that is deleted takes what scaled it along', async () => {
  await aws.scaling.send(new RegisterScalableTargetCommand({ ...PLACE, MinCapacity: 1, MaxCapacity: 2 }))
  const named = { ...PLACE, PolicyName: 'follow', PolicyType: 'TargetTrackingScaling' } as const
  await aws.scaling.send(new PutScalingPolicyCommand({ ...named, TargetTrackingScalingPolicyConfiguration: POLICY }))
  await aws.control.send(new DeleteEndpointCommand({ EndpointName: 'busy' }))
  await waitUntilEndpointDeleted({ client: aws.control, ...WAIT }, { EndpointName: 'busy' })
  expect((await aws.scaling.send(new DescribeScalableTargetsCommand({ ServiceNamespace: 'sagemaker' }))).ScalableTargets).toEqual([])
  expect((await aws.scaling.send(new DescribeScalingPoliciesCommand({ ServiceNamespace: 'sagemaker' }))).ScalingPolicies).toEqual([])
})

test('a variant of no replicas sleeps, and a call wakes it for good', async () => {
  await makeConfig(aws, 'lazy', { model: 'busy' })
  await makeEndpoint(aws, 'lazy', 'lazy')
  await aws.scaling.send(new RegisterScalableTargetCommand({ ...PLACE, ResourceId: 'endpoint/lazy/variant/main', MinCapacity: 0, MaxCapacity: 2 }))
  const none = [{ VariantName: 'main', DesiredInstanceCount: 0 }]
  await aws.control.send(new UpdateEndpointWeightsAndCapacitiesCommand({ EndpointName: 'lazy', DesiredWeightsAndCapacities: none }))
  const counts = async (): Promise<unknown> => {
    const [variant] = (await aws.control.send(new DescribeEndpointCommand({ EndpointName: 'lazy' }))).ProductionVariants ?? []
    return [variant?.DesiredInstanceCount, variant?.CurrentInstanceCount]
  }
  await vi.waitFor(async () => expect(await counts()).toEqual([0, 0]), { timeout: 60_000, interval: 200 })
  expect((await ask(aws, 'lazy')).text).not.toBe('')
  await vi.waitFor(async () => expect(await counts()).toEqual([1, 1]), { timeout: 60_000, interval: 200 })
})
