/** The control plane of models, configurations and endpoints by hand: null members, hostile ones, and what reaches the desk. No machine behind it. */
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { DeploymentDesk, EndpointConfig, ModelDefinition, RolloutPlan } from '#contract/deployment'
import { NO_SERVICES } from '#server/services'
import { fixedDeployments } from './fake-deployments.ts'
import { startTestServer, type TestServer } from './test-server.ts'

interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

const models = new Map<string, ModelDefinition>()
const configs = new Map<string, EndpointConfig>()
const plans: RolloutPlan[] = []
/** Keeps what it is given; the endpoint `chat` is updated in name only. */
const desk: DeploymentDesk = {
  ...fixedDeployments,
  createModel: async (model) => kept(models, { ...model, createdMs: 0 }),
  findModel: async (name) => models.get(name) ?? null,
  createConfig: async (config) => kept(configs, { ...config, createdMs: 0 }),
  findConfig: async (name) => configs.get(name) ?? fixedDeployments.findConfig(name),
  updateEndpoint: async (_name, _config, plan) => {
    plans.push(plan)
    const [endpoint] = await fixedDeployments.listEndpoints()
    return endpoint as NonNullable<typeof endpoint>
  },
}
let server: TestServer

function kept<T extends { readonly name: string }>(shelf: Map<string, T>, thing: T): T {
  shelf.set(thing.name, thing)
  return thing
}

async function call(operation: string, body: object | string): Promise<Answer> {
  const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `SageMaker.${operation}` }
  const response = await fetch(server.url, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) })
  const text = await response.text()
  return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Answer['body']) }
}

beforeAll(async () => {
  server = await startTestServer({ services: { ...NO_SERVICES, deployments: desk } })
})
afterAll(async () => {
  await server.server.close()
})
beforeEach(async () => {
  models.clear()
  configs.clear()
  plans.length = 0
  const container = { Environment: { HF_MODEL_ID: server.model.name } }
  expect((await call('CreateModel', { ModelName: 'm', PrimaryContainer: container })).status).toBe(200)
})

function withOutput(output: object): object {
  return { ...CONFIG, AsyncInferenceConfig: { OutputConfig: output } }
}

function rolling(size: object, more: object = {}, beside: object = {}): object {
  return { ...UPDATE, DeploymentConfig: { RollingUpdatePolicy: { MaximumBatchSize: size, WaitIntervalInSeconds: 1, ...more }, ...beside } }
}

const VARIANT = { VariantName: 'main', ModelName: 'm', InitialInstanceCount: 1 }
const TAG = { Key: 'a', Value: 'b' }
const COUNT = { Type: 'INSTANCE_COUNT', Value: 1 }
const WEIGHT = { VariantPropertyType: 'DesiredWeight' }
const UPDATE = { EndpointName: 'chat', EndpointConfigName: 'chat-1' }
const BLUE_GREEN = { TrafficRoutingConfiguration: { Type: 'ALL_AT_ONCE', WaitIntervalInSeconds: 0 } }
const CONFIG = { EndpointConfigName: 'c', ProductionVariants: [VARIANT] }

test('a member that is null was not given', async () => {
  const container = { Environment: { HF_MODEL_ID: server.model.name }, ModelDataSource: null, ModelDataUrl: null, Mode: null }
  expect(await call('CreateModel', { ModelName: 'n', PrimaryContainer: null, Containers: [container] })).toMatchObject({ status: 200 })
  const variants = [{ ...VARIANT, ServerlessConfig: null }]
  const config = { EndpointConfigName: 'c', ProductionVariants: variants, ShadowProductionVariants: null, DataCaptureConfig: null }
  expect(await call('CreateEndpointConfig', config)).toMatchObject({ status: 200 })
  const policy = {
    TrafficRoutingConfiguration: { Type: 'ALL_AT_ONCE', WaitIntervalInSeconds: 0, CanarySize: null },
    MaximumExecutionTimeoutInSeconds: null,
  }
  const update = { EndpointName: 'chat', EndpointConfigName: 'c', DeploymentConfig: { BlueGreenUpdatePolicy: policy } }
  expect(await call('UpdateEndpoint', update)).toMatchObject({ status: 200 })
  expect(plans).toMatchObject([{ kind: 'all-at-once', maxDurationMs: 1_800_000 }])
})

test.each<[operation: string, type: string, told: RegExp, body: object | string]>([
  ['CreateModel', 'ValidationException', /PrimaryContainer must be given/, { ModelName: 'n', PrimaryContainer: null }],
  ['CreateModel', 'SerializationException', /another type/, { ModelName: 'n', Containers: [null] }],
  ['CreateModel', 'SerializationException', /JSON object/, 'null'],
  ['CreateModel', 'SerializationException', /valid JSON/, `{"ModelName":${'['.repeat(200_000)}${']'.repeat(200_000)}}`],
  ['CreateModel', 'ValidationException', /modelFolders/, { ModelName: 'n', PrimaryContainer: { Mode: 'MultiModel' } }],
  ['CreateEndpointConfig', 'ValidationException', /must not be null/, { EndpointConfigName: 'c', ProductionVariants: null }],
  ['CreateEndpointConfig', 'ValidationException', /two variants .*'main'/, { ...CONFIG, ProductionVariants: [VARIANT, VARIANT] }],
  ['CreateEndpointConfig', 'ValidationException', /two variants have/, { ...CONFIG, ShadowProductionVariants: [VARIANT] }],
  ['CreateEndpointConfig', 'ValidationException', /outputConfig.* must not be null/, { ...CONFIG, AsyncInferenceConfig: {} }],
  ['CreateEndpointConfig', 'ValidationException', /s3:\/\/bucket/, withOutput({ S3OutputPath: 'https://elsewhere/' })],
  ['CreateEndpointConfig', 'ValidationException', /KmsKeyId is not offered/, withOutput({ KmsKeyId: 'k' })],
  ['CreateEndpointConfig', 'ValidationException', /regular expression/, withOutput({ NotificationConfig: { SuccessTopic: 'hook' } })],
  ['CreateEndpointConfig', 'ValidationException', /key is given twice/, { ...CONFIG, Tags: [TAG, TAG] }],
  ['CreateEndpointConfig', 'ValidationException', /reserved/, { ...CONFIG, Tags: [{ Key: 'AWS:x', Value: '' }] }],
  ['UpdateEndpoint', 'ValidationException', /5 to 50 percent/, rolling({ Type: 'CAPACITY_PERCENT', Value: 4 })],
  ['UpdateEndpoint', 'ValidationException', /not made in batches/, rolling(COUNT, { RollbackMaximumBatchSize: COUNT })],
  ['UpdateEndpoint', 'ValidationException', /give only one/, rolling(COUNT, {}, { BlueGreenUpdatePolicy: BLUE_GREEN })],
  ['UpdateEndpoint', 'ValidationException', /with RetainAllVariantProperties/, { ...UPDATE, ExcludeRetainedVariantProperties: [WEIGHT] }],
  ['ListTags', 'ValidationException', /regular expression/, { ResourceArn: 'chat' }],
  ['ListTags', 'ValidationException', /have tags here/, { ResourceArn: 'arn:aws:sagemaker:local:000000000000:pipeline/p' }],
  ['AddTags', 'ValidationException', /Could not find endpoint/, { ResourceArn: 'arn:aws:sagemaker:local:000000000000:endpoint/nobody', Tags: [TAG] }],
  ['DescribeEndpoint', 'ValidationException', /Could not find endpoint "arn:aws:sagemaker:.*nobody"/, { EndpointName: 'nobody' }],
  ['DescribeEndpoint', 'ValidationException', /regular expression/, { EndpointName: '../../etc' }],
  ['ListEndpoints', 'ValidationException', /NextToken/, { NextToken: 'of-another' }],
])('%s is refused as %s, which says %s', async (operation, type, told, body) => {
  const answer = await call(operation, body)
  expect(answer).toMatchObject({ status: 400, body: { __type: type } })
  expect(String(answer.body['message'])).toMatch(told)
})

test('a configuration is shown as it was sent', async () => {
  const variant = fc.record(
    {
      VariantName: fc.stringMatching(/^[a-z][a-z0-9]{0,20}$/),
      ModelName: fc.constant('m'),
      InstanceType: fc.constantFrom('ml.m5.large', 'ml.g5.2xlarge'),
      InitialInstanceCount: fc.integer({ min: 1, max: 64 }),
      InitialVariantWeight: fc.double({ min: 0, max: 100, noNaN: true }),
    },
    { requiredKeys: ['VariantName', 'ModelName'] },
  )
  const sent = fc.uniqueArray(variant, { minLength: 1, maxLength: 10, selector: ({ VariantName }) => VariantName })
  await fc.assert(
    fc.asyncProperty(sent, async (variants) => {
      configs.clear()
      const body = JSON.parse(JSON.stringify({ EndpointConfigName: 'c', ProductionVariants: variants })) as object
      expect((await call('CreateEndpointConfig', body)).status).toBe(200)
      expect((await call('DescribeEndpointConfig', { EndpointConfigName: 'c' })).body).toMatchObject(body)
    }),
    { seed: 5, numRuns: 100 },
  )
})

test('what an update takes along is told by properties; what is excluded is not, and without the word only what scaling has reached is', async () => {
  const updates = [{}, { RetainAllVariantProperties: true }, { RetainAllVariantProperties: true, ExcludeRetainedVariantProperties: [WEIGHT] }]
  for (const update of updates) expect(await call('UpdateEndpoint', { ...UPDATE, ...update })).toMatchObject({ status: 200 })
  expect(plans.map(({ retained }) => retained)).toEqual([
    { replicas: 'scaled', weight: false, capture: false },
    { replicas: 'all', weight: true, capture: true },
    { replicas: 'all', weight: false, capture: true },
  ])
})

test('a rolling update and steps of replicas reach the desk as they were sent', async () => {
  expect(await call('UpdateEndpoint', rolling(COUNT))).toMatchObject({ status: 200 })
  const policy = { TrafficRoutingConfiguration: { Type: 'LINEAR', WaitIntervalInSeconds: 2, LinearStepSize: COUNT } }
  expect(await call('UpdateEndpoint', { ...UPDATE, DeploymentConfig: { BlueGreenUpdatePolicy: policy } })).toMatchObject({ status: 200 })
  expect(plans).toMatchObject([
    { kind: 'rolling', stepReplicas: 1, waitMs: 1000, bakeMs: 1000 },
    { kind: 'linear', stepReplicas: 1, waitMs: 2000, bakeMs: 0 },
  ])
})

test('what a configuration says of asynchronous invocations reaches the desk, topics by the names at the end of their ARNs', async () => {
  const NotificationConfig = {
    SuccessTopic: 'arn:aws:sns:us-east-1:000000000000:hook',
    IncludeInferenceResponseIn: ['SUCCESS_NOTIFICATION_TOPIC'],
  }
  const ClientConfig = { MaxConcurrentInvocationsPerInstance: 3 }
  const config = { ...CONFIG, AsyncInferenceConfig: { ClientConfig, OutputConfig: { NotificationConfig } } }
  expect(await call('CreateEndpointConfig', config)).toMatchObject({ status: 200 })
  expect(configs.get('c')?.asyncInference).toEqual({
    outputUri: null,
    failureUri: null,
    maxConcurrent: 3,
    successTopic: 'hook',
    errorTopic: null,
    includeResponseIn: ['success'],
  })
  expect(await call('DescribeEndpointConfig', { EndpointConfigName: 'c' })).toMatchObject({
    body: { AsyncInferenceConfig: config.AsyncInferenceConfig },
  })
})
