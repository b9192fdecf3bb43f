/** Alarms and step policies by hand, in JSON and in the CBOR of the official codec: what is taken is shown again, and no body breaks the server. */
import { cbor } from '@smithy/core/cbor'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ScaledServer, startScaledServer } from './scaled-server.ts'

type Body = Readonly<Record<string, unknown>>

const PLACE = {
  ServiceNamespace: 'sagemaker',
  ResourceId: 'endpoint/chat/variant/main',
  ScalableDimension: 'sagemaker:variant:DesiredInstanceCount',
}
const STEPS = { AdjustmentType: 'ChangeInCapacity', StepAdjustments: [{ MetricIntervalLowerBound: 0, ScalingAdjustment: 1 }] }
const POLICY = { ...PLACE, PolicyName: 'steps', PolicyType: 'StepScaling', StepScalingPolicyConfiguration: STEPS }

let scaled: ScaledServer
let alarm: Body

async function post(path: string, headers: Readonly<Record<string, string>>, body: string | Uint8Array): Promise<readonly [number, Buffer]> {
  const response = await fetch(`${scaled.target.url}${path}`, { method: 'POST', headers, body: Buffer.from(body) })
  return [response.status, Buffer.from(await response.arrayBuffer())]
}

async function inJson(target: string, body: unknown): Promise<readonly [number, Body]> {
  const [status, bytes] = await post('/', { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': target }, JSON.stringify(body))
  return [status, JSON.parse(bytes.toString()) as Body]
}

function onAlarms(operation: string, body: unknown): ReturnType<typeof inJson> {
  return inJson(`GraniteServiceVersion20100801.${operation}`, body)
}

async function inCbor(operation: string, body: unknown): Promise<readonly [number, Body]> {
  const headers = { 'content-type': 'application/cbor', 'smithy-protocol': 'rpc-v2-cbor' }
  const [status, bytes] = await post(`/service/GraniteServiceVersion20100801/operation/${operation}`, headers, cbor.serialize(body))
  return [status, cbor.deserialize(bytes) as Body]
}

beforeAll(async () => {
  scaled = await startScaledServer()
  expect((await inJson('AnyScaleFrontendService.RegisterScalableTarget', { ...PLACE, MinCapacity: 1, MaxCapacity: 4 }))[0]).toBe(200)
  const [, { PolicyARN }] = await inJson('AnyScaleFrontendService.PutScalingPolicy', POLICY)
  alarm = {
    AlarmName: 'busy',
    Namespace: 'inferd',
    MetricName: 'QueueWait',
    Statistic: 'Maximum',
    Period: 60,
    EvaluationPeriods: 3,
    DatapointsToAlarm: 2,
    Threshold: 250.5,
    ComparisonOperator: 'GreaterThanThreshold',
    TreatMissingData: 'notBreaching',
    AlarmActions: [PolicyARN],
  }
})
afterAll(() => scaled[Symbol.asyncDispose]())

test('an alarm that is put in CBOR is shown in both forms, and is gone when it is deleted', async () => {
  expect(await inCbor('PutMetricAlarm', alarm)).toEqual([200, {}])
  const [, shown] = await inCbor('DescribeAlarms', { AlarmNames: ['busy'] })
  expect(shown).toMatchObject({ MetricAlarms: [{ ...alarm, StateValue: 'INSUFFICIENT_DATA', ActionsEnabled: true }] })
  expect((await onAlarms('DescribeAlarms', {}))[1]).toMatchObject({ MetricAlarms: [{ ...alarm, StateUpdatedTimestamp: expect.any(Number) }] })
  expect(await inCbor('DeleteAlarms', { AlarmNames: ['busy'] })).toEqual([200, {}])
  expect(await inCbor('DeleteAlarms', { AlarmNames: ['busy'] })).toMatchObject([404, { __type: 'ResourceNotFound' }])
})

test.each([
  [{ Period: 45 }, /Period must be/],
  [{ Period: 3600, EvaluationPeriods: 2 }, /at most 3600 s/],
  [{ DatapointsToAlarm: 4 }, /must not be more than EvaluationPeriods/],
  [{ Statistic: undefined }, /Statistic must be given/],
  [{ Threshold: undefined }, /Threshold must be given/],
  [{ Statistic: 'Sum' }, /must be one of Average, Minimum, Maximum/],
  [{ ComparisonOperator: 'LessThanLowerThreshold' }, /ComparisonOperator must be one of/],
  [{ TreatMissingData: 'hope' }, /TreatMissingData must be one of/],
  [{ ExtendedStatistic: 'p99' }, /ExtendedStatistic is not offered/],
  [{ Metrics: [{ Id: 'm' }] }, /Metrics is not offered/],
  [{ Tags: [{ Key: 'a', Value: 'b' }] }, /Tags is not offered/],
  [{ OKActions: ['arn'] }, /OKActions is not offered/],
  [{ AlarmActions: [] }, /must name a scaling policy/],
  [{ Dimensions: [{ Name: 'EndpointName', Value: 'other' }] }, /policies of the variant that Dimensions name/],
  [{ Unit: 'Seconds' }, /Unit of inferd QueueWait must be one of Milliseconds/],
  [{ Unknown: 1 }, /Unknown is not known here/],
])('an alarm with %j is refused', async (more, words) => {
  const [status, { __type, message }] = await onAlarms('PutMetricAlarm', { ...alarm, ...more })
  expect([status, __type]).toEqual([400, 'ValidationError'])
  expect(message).toMatch(words)
})

test("the alarm of AWS's guide for asynchronous endpoints is taken as it is", async () => {
  const guide = {
    AlarmName: 'step_scaling_policy_alarm_name',
    MetricName: 'HasBacklogWithoutCapacity',
    Namespace: 'AWS/SageMaker',
    Statistic: 'Average',
    EvaluationPeriods: 2,
    DatapointsToAlarm: 2,
    Threshold: 1,
    ComparisonOperator: 'GreaterThanOrEqualToThreshold',
    TreatMissingData: 'missing',
    Dimensions: [{ Name: 'EndpointName', Value: 'chat' }],
    Period: 60,
    AlarmActions: alarm['AlarmActions'],
  }
  expect(await onAlarms('PutMetricAlarm', guide)).toEqual([200, {}])
})

test('members that are empty are as if they were not there', async () => {
  const [status] = await onAlarms('PutMetricAlarm', { ...alarm, OKActions: [], InsufficientDataActions: [], Tags: [], Metrics: null })
  expect(status).toBe(200)
})

test.each([
  [{ Cooldown: 1e9 }, /less than or equal to 86400/],
  [{ MetricAggregationType: 'Sum' }, /enum value set/],
  [{ AdjustmentType: undefined }, /AdjustmentType must be one of/],
  [{ StepAdjustments: undefined }, /1 to 20 steps/],
  [{ StepAdjustments: [{ MetricIntervalLowerBound: 0 }] }, /scalingAdjustment' failed/],
  [{ StepAdjustments: [{ MetricIntervalLowerBound: 1, MetricIntervalUpperBound: 1, ScalingAdjustment: 1 }] }, /must be above the lower bound/],
  [{ AdjustmentType: 'ExactCapacity', StepAdjustments: [{ MetricIntervalLowerBound: 0, ScalingAdjustment: -1 }] }, /no number of replicas/],
])('steps with %j are refused', async (more, words) => {
  const body = { ...POLICY, PolicyName: 'wrong', StepScalingPolicyConfiguration: { ...STEPS, ...more } }
  const [status, { __type, message }] = await inJson('AnyScaleFrontendService.PutScalingPolicy', body)
  expect([status, __type]).toEqual([400, 'ValidationException'])
  expect(message).toMatch(words)
})

test('a policy keeps its type', async () => {
  const tracking = { TargetValue: 1, PredefinedMetricSpecification: { PredefinedMetricType: 'SageMakerVariantInvocationsPerInstance' } }
  const body = { ...PLACE, PolicyName: 'steps', PolicyType: 'TargetTrackingScaling', TargetTrackingScalingPolicyConfiguration: tracking }
  expect((await inJson('AnyScaleFrontendService.PutScalingPolicy', body))[1]['message']).toMatch(/has another type; delete it first/)
})

test('no body breaks the server, whatever member is whatever', async () => {
  const junk = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom(Number.MAX_VALUE, -1, 0.5, '\u0000', 'x'.repeat(3000), [], {}, null, ['__proto__']),
  )
  const target = fc.constantFrom('steps' as const, 'alarm' as const, 'cbor' as const)
  await fc.assert(
    fc.asyncProperty(target, fc.nat(), junk, async (kind, index, value) => {
      const whole: Body = kind === 'steps' ? { ...POLICY, ...STEPS } : alarm
      const name = Object.keys(whole)[index % Object.keys(whole).length]!
      const [status] =
        kind === 'steps'
          ? await inJson('AnyScaleFrontendService.PutScalingPolicy', {
              ...POLICY,
              ...(name in STEPS ? { StepScalingPolicyConfiguration: { ...STEPS, [name]: value } } : { [name]: value }),
            })
          : kind === 'alarm'
            ? await onAlarms('PutMetricAlarm', { ...alarm, [name]: value })
            : await inCbor('PutMetricAlarm', { ...alarm, [name]: value })
      expect([200, 400, 404]).toContain(status)
    }),
    { seed: 7, numRuns: 300 },
  )
})
