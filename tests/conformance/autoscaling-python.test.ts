/** boto3 and the aws CLI, unchanged, towards Application Auto Scaling and CloudWatch; only where this machine has them. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { AWS_ENVIRONMENT, COMMAND_TIMEOUT_MS, hasCommand } from './aws-commands.ts'
import { type ScaledServer, startScaledServer } from './scaled-server.ts'

const run = promisify(execFile)
const CLIENT = join(import.meta.dirname, 'python/step_scaling.py')
const PLACE = ['--resource-id', 'endpoint/chat/variant/main', '--scalable-dimension', 'sagemaker:variant:DesiredInstanceCount']

let scaled: ScaledServer

beforeAll(async () => {
  scaled = await startScaledServer()
})
afterAll(() => scaled[Symbol.asyncDispose]())

async function aws(service: string, operation: string, ...words: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const { stdout } = await run('aws', [service, operation, '--endpoint-url', scaled.target.url, '--output', 'json', ...words], {
    env: AWS_ENVIRONMENT,
    timeout: COMMAND_TIMEOUT_MS,
  })
  return stdout.trim() === '' ? {} : (JSON.parse(stdout) as Readonly<Record<string, unknown>>)
}

function autoscaling(operation: string, ...words: readonly string[]): ReturnType<typeof aws> {
  return aws('application-autoscaling', operation, '--service-namespace', 'sagemaker', ...words)
}

test.runIf(hasCommand('python3', '-c', 'import boto3'))(
  'boto3 scales by steps that an alarm starts',
  async () => {
    const { stdout } = await run('python3', [CLIENT, scaled.target.url], { env: AWS_ENVIRONMENT, timeout: COMMAND_TIMEOUT_MS })
    expect(JSON.parse(stdout)).toMatchObject({
      alarm: {
        AlarmName: 'busy',
        Threshold: 4.5,
        Statistic: 'Average',
        StateValue: 'INSUFFICIENT_DATA',
        ActionsEnabled: true,
        TreatMissingData: 'missing',
        AlarmActions: [expect.stringMatching(/scalingPolicy\/chat\/main\/steps$/)],
      },
      time: 'datetime',
      policy: { same: true, alarms: [{ AlarmName: 'busy' }], type: 'StepScaling' },
      pages: [1],
      gap: ['ValidationException', 400],
      elsewhere: ['ValidationError', 400],
      nobody: ['ValidationError', 400],
      metric: ['ValidationError', 400],
      period: ['ValidationError', 400],
      missing: ['ResourceNotFound', 404],
      other: ['ValidationError', 400],
      left: [0, 0, 0],
    })
  },
  COMMAND_TIMEOUT_MS,
)

test.runIf(hasCommand('aws', '--version'))(
  'the aws CLI registers a target, keeps it to a target value, schedules it, and takes all of it away',
  async () => {
    await autoscaling('register-scalable-target', ...PLACE, '--min-capacity', '0', '--max-capacity', '3')
    const specification = { MetricName: 'Tokens', Namespace: 'inferd', Dimensions: [{ Name: 'EndpointName', Value: 'chat' }], Statistic: 'Average' }
    const configuration = JSON.stringify({ TargetValue: 20, CustomizedMetricSpecification: specification, ScaleInCooldown: 60 })
    const policy = ['--policy-name', 'follow', '--policy-type', 'TargetTrackingScaling']
    await autoscaling('put-scaling-policy', ...PLACE, ...policy, '--target-tracking-scaling-policy-configuration', configuration)
    const action = ['--scheduled-action-name', 'morning', '--schedule', 'cron(0 8 ? * MON-FRI *)', '--scalable-target-action', 'MinCapacity=2']
    await autoscaling('put-scheduled-action', ...PLACE, ...action)
    const [targets, policies] = await Promise.all([autoscaling('describe-scalable-targets'), autoscaling('describe-scaling-policies')])
    expect(targets).toMatchObject({ ScalableTargets: [{ MinCapacity: 0, MaxCapacity: 3 }] })
    expect(policies).toMatchObject({
      ScalingPolicies: [{ TargetTrackingScalingPolicyConfiguration: { TargetValue: 20, CustomizedMetricSpecification: specification } }],
    })
    expect(await scaled.scaling.listSchedules()).toMatchObject([{ name: 'morning', minReplicas: 2 }])
    await autoscaling('deregister-scalable-target', ...PLACE)
    expect(await scaled.scaling.listPolicies()).toEqual([])
    expect(await scaled.scaling.listSchedules()).toEqual([])
  },
  2 * COMMAND_TIMEOUT_MS,
)
