/**
 * Every way to run a model that AWS sells, on one machine, with the AWS clients: real-time, automatic scaling, rollout, serverless,
 * multi-model, asynchronous, batch transform, Bedrock on demand, provisioned and batch. All that is AWS's own is unchanged but `endpoint`.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as autoscaling from '@aws-sdk/client-application-auto-scaling'
import * as bedrock from '@aws-sdk/client-bedrock'
import * as runtime from '@aws-sdk/client-bedrock-runtime'
import * as sagemaker from '@aws-sdk/client-sagemaker'
import * as invoke from '@aws-sdk/client-sagemaker-runtime'
import type { ExampleServer } from './main.ts'

const ROLE = 'arn:aws:iam::000000000000:role/anything'
const MODEL = 'inferd-chat'
const CAPITAL = 'What is the capital of France?'
const QUESTION = { messages: [{ role: 'user', content: CAPITAL }], max_tokens: 16, temperature: 0 }
const JSON_TYPE = 'application/json'
const WAIT = { maxWaitTime: 60, minDelay: 1, maxDelay: 1 }

interface Clients {
  readonly sagemaker: sagemaker.SageMakerClient
  readonly invoke: invoke.SageMakerRuntimeClient
  readonly autoscaling: autoscaling.ApplicationAutoScalingClient
  readonly bedrock: bedrock.BedrockClient
  readonly runtime: runtime.BedrockRuntimeClient
  readonly bucket: Bucket
}

/** Throws when an answer is not what it must be. */
export async function awsModes({ url, objects }: ExampleServer): Promise<void> {
  const aws = { endpoint: url, region: 'us-east-1', credentials: { accessKeyId: 'any', secretAccessKey: 'any' } }
  const clients: Clients = {
    sagemaker: new sagemaker.SageMakerClient(aws),
    invoke: new invoke.SageMakerRuntimeClient(aws),
    autoscaling: new autoscaling.ApplicationAutoScalingClient(aws),
    bedrock: new bedrock.BedrockClient(aws),
    runtime: new runtime.BedrockRuntimeClient(aws),
    bucket: new Bucket('inferd-local', objects),
  }
  for (const mode of [realTime, scaled, rolledOut, serverless, multiModel, asynchronous, transformed, onDemand, provisioned, inBatch, cleanedUp]) {
    const startedMs = performance.now()
    const told = await mode(clients)
    process.stdout.write(`${mode.name.padEnd(12)} ${told}  (${Math.round(performance.now() - startedMs)} ms)\n`)
  }
}

/** A model, a configuration, an endpoint; then whole answers and streams from it. */
async function realTime({ sagemaker: client, invoke: caller }: Clients): Promise<string> {
  const container = { Image: 'inferd', Environment: { HF_MODEL_ID: MODEL } }
  await client.send(new sagemaker.CreateModelCommand({ ModelName: 'chat', ExecutionRoleArn: ROLE, PrimaryContainer: container }))
  const variant = { VariantName: 'main', ModelName: 'chat', InstanceType: 'ml.m5.large', InitialInstanceCount: 1, InitialVariantWeight: 1 } as const
  await client.send(new sagemaker.CreateEndpointConfigCommand({ EndpointConfigName: 'chat-v1', ProductionVariants: [variant] }))
  await client.send(new sagemaker.CreateEndpointCommand({ EndpointName: 'chat', EndpointConfigName: 'chat-v1' }))
  await sagemaker.waitUntilEndpointInService({ client, ...WAIT }, { EndpointName: 'chat' })

  const request = { EndpointName: 'chat', ContentType: JSON_TYPE, Body: JSON.stringify(QUESTION) }
  const whole = await caller.send(new invoke.InvokeEndpointCommand(request))
  const text = textOf(whole.Body)
  assert.notEqual(text, '')
  assert.equal(whole.InvokedProductionVariant, 'main')

  const streamed = await caller.send(
    new invoke.InvokeEndpointWithResponseStreamCommand({ ...request, Body: JSON.stringify({ ...QUESTION, stream: true }) }),
  )
  let pieces = ''
  for await (const { PayloadPart } of streamed.Body ?? []) pieces += Buffer.from(PayloadPart?.Bytes ?? []).toString()
  assert.match(pieces, /^data:/)
  return JSON.stringify(text)
}

/** Between one and two replicas, as many as its load needs. */
async function scaled({ autoscaling: client, sagemaker: control }: Clients): Promise<string> {
  const target = {
    ServiceNamespace: 'sagemaker',
    ResourceId: 'endpoint/chat/variant/main',
    ScalableDimension: 'sagemaker:variant:DesiredInstanceCount',
  } as const
  await client.send(new autoscaling.RegisterScalableTargetCommand({ ...target, MinCapacity: 2, MaxCapacity: 3 }))
  const policy = {
    PredefinedMetricSpecification: { PredefinedMetricType: 'SageMakerVariantInvocationsPerInstance' },
    TargetValue: 600,
    ScaleInCooldown: 60,
    ScaleOutCooldown: 10,
  } as const
  await client.send(
    new autoscaling.PutScalingPolicyCommand({
      ...target,
      PolicyName: 'follow-the-calls',
      PolicyType: 'TargetTrackingScaling',
      TargetTrackingScalingPolicyConfiguration: policy,
    }),
  )
  const replicas = await until('a second replica', async () => {
    const { ProductionVariants } = await control.send(new sagemaker.DescribeEndpointCommand({ EndpointName: 'chat' }))
    const count = ProductionVariants?.[0]?.CurrentInstanceCount ?? 0
    return count >= 2 ? count : null
  })
  const { ScalingActivities } = await client.send(new autoscaling.DescribeScalingActivitiesCommand(target))
  assert.ok((ScalingActivities ?? []).length > 0)
  await client.send(new autoscaling.DeregisterScalableTargetCommand(target))
  return `${replicas} replicas: ${ScalingActivities?.[0]?.Cause ?? ''}`
}

/** A tenth of the calls to the new model, and the rest if nothing went wrong. */
async function rolledOut({ sagemaker: client, invoke: caller }: Clients): Promise<string> {
  const container = { Image: 'inferd', Environment: { HF_MODEL_ID: 'shelf/inferd-chat-Q4_0' } }
  await client.send(new sagemaker.CreateModelCommand({ ModelName: 'chat-small', ExecutionRoleArn: ROLE, PrimaryContainer: container }))
  const variant = {
    VariantName: 'main',
    ModelName: 'chat-small',
    InstanceType: 'ml.m5.large',
    InitialInstanceCount: 1,
    InitialVariantWeight: 1,
  } as const
  await client.send(new sagemaker.CreateEndpointConfigCommand({ EndpointConfigName: 'chat-v2', ProductionVariants: [variant] }))
  const policy = {
    TrafficRoutingConfiguration: { Type: 'CANARY', CanarySize: { Type: 'CAPACITY_PERCENT', Value: 10 }, WaitIntervalInSeconds: 1 },
    TerminationWaitInSeconds: 1,
  } as const
  await client.send(
    new sagemaker.UpdateEndpointCommand({
      EndpointName: 'chat',
      EndpointConfigName: 'chat-v2',
      DeploymentConfig: { BlueGreenUpdatePolicy: policy },
    }),
  )
  let numAnswers = 0
  const endpoint = await until('the rollout', async () => {
    const answer = await caller.send(
      new invoke.InvokeEndpointCommand({ EndpointName: 'chat', ContentType: JSON_TYPE, Body: JSON.stringify(QUESTION) }),
    )
    if (textOf(answer.Body) !== '') numAnswers++
    const now = await client.send(new sagemaker.DescribeEndpointCommand({ EndpointName: 'chat' }))
    return now.EndpointStatus === 'InService' ? now : null
  })
  assert.equal(endpoint.EndpointConfigName, 'chat-v2')
  return `${numAnswers} calls answered on the way to ${endpoint.EndpointConfigName}`
}

/** No process until somebody calls. */
async function serverless({ sagemaker: client, invoke: caller }: Clients): Promise<string> {
  const variant = { VariantName: 'main', ModelName: 'chat', ServerlessConfig: { MemorySizeInMB: 2048, MaxConcurrency: 8 } }
  await client.send(new sagemaker.CreateEndpointConfigCommand({ EndpointConfigName: 'sleepy', ProductionVariants: [variant] }))
  await client.send(new sagemaker.CreateEndpointCommand({ EndpointName: 'sleepy', EndpointConfigName: 'sleepy' }))
  await sagemaker.waitUntilEndpointInService({ client, ...WAIT }, { EndpointName: 'sleepy' })
  const call = async (): Promise<number> => {
    const startedMs = performance.now()
    const answer = await caller.send(
      new invoke.InvokeEndpointCommand({ EndpointName: 'sleepy', ContentType: JSON_TYPE, Body: JSON.stringify(QUESTION) }),
    )
    assert.notEqual(textOf(answer.Body), '')
    return Math.round(performance.now() - startedMs)
  }
  const [cold, warm] = [await call(), await call()]
  return `cold ${cold} ms, warm ${warm} ms`
}

/** One endpoint in front of a folder of models: each is loaded when it is asked for. */
async function multiModel({ invoke: caller }: Clients): Promise<string> {
  const answers: string[] = []
  for (const TargetModel of ['shelf/inferd-chat-Q4_0', 'shelf/inferd-chat-Q4_K_M', 'shelf/inferd-chat-Q8_0']) {
    const answer = await caller.send(
      new invoke.InvokeEndpointCommand({ EndpointName: 'shelf', TargetModel, ContentType: JSON_TYPE, Body: JSON.stringify(QUESTION) }),
    )
    answers.push(textOf(answer.Body))
  }
  assert.equal(answers.filter((text) => text !== '').length, 3)
  return `${answers.length} models answered`
}

/** Accepted now, answered in an object later. */
async function asynchronous({ invoke: caller, bucket }: Clients): Promise<string> {
  bucket.put('async/question.json', JSON.stringify(QUESTION))
  const accepted = await caller.send(
    new invoke.InvokeEndpointAsyncCommand({
      EndpointName: 'chat',
      InputLocation: bucket.uri('async/question.json'),
      ContentType: JSON_TYPE,
    }),
  )
  const output = await until('the output', async () => bucket.get(accepted.OutputLocation ?? ''))
  assert.notEqual(textOf(Buffer.from(output)), '')
  return accepted.OutputLocation ?? ''
}

/** Objects in, objects out: each line is a record, joined with its answer. */
async function transformed({ sagemaker: client, bucket }: Clients): Promise<string> {
  const records = ['France', 'Italy', 'Spain'].map((country, id) => ({
    id,
    ask: { ...QUESTION, messages: [{ role: 'user', content: `What is the capital of ${country}?` }] },
  }))
  bucket.put('transform/in/countries.jsonl', records.map((record) => JSON.stringify(record)).join('\n'))
  await client.send(
    new sagemaker.CreateTransformJobCommand({
      TransformJobName: 'capitals',
      ModelName: 'chat',
      TransformInput: {
        DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri: bucket.uri('transform/in/') } },
        ContentType: 'application/jsonlines',
        SplitType: 'Line',
      },
      TransformOutput: { S3OutputPath: bucket.uri('transform/out'), Accept: 'application/jsonlines', AssembleWith: 'Line' },
      DataProcessing: { InputFilter: '$.ask', JoinSource: 'Input', OutputFilter: "$['id','SageMakerOutput']" },
      TransformResources: { InstanceType: 'ml.m5.large', InstanceCount: 1 },
    }),
  )
  await sagemaker.waitUntilTransformJobCompletedOrStopped({ client, ...WAIT }, { TransformJobName: 'capitals' })
  const lines = (bucket.get(bucket.uri('transform/out/countries.jsonl.out')) ?? '').trim().split('\n')
  const ids = lines.map((line) => (JSON.parse(line) as { readonly id: number; readonly SageMakerOutput: unknown }).id)
  assert.deepEqual(ids, [0, 1, 2])
  return `${lines.length} records answered in order`
}

/** The foundation-model API, whole and streamed. */
async function onDemand({ runtime: caller }: Clients): Promise<string> {
  const request = {
    modelId: MODEL,
    messages: [{ role: 'user' as const, content: [{ text: CAPITAL }] }],
    inferenceConfig: { maxTokens: 16, temperature: 0 },
  }
  const whole = await caller.send(new runtime.ConverseCommand(request))
  const text = whole.output?.message?.content?.[0]?.text
  const { stream } = await caller.send(new runtime.ConverseStreamCommand(request))
  let streamed = ''
  for await (const event of stream ?? []) streamed += event.contentBlockDelta?.delta?.text ?? ''
  assert.equal(streamed, text)
  return `${JSON.stringify(text)}, ${whole.usage?.totalTokens} tokens`
}

/** Units of throughput, paid by the hour: within them a call is never refused, and costs nothing of its own. */
async function provisioned({ bedrock: client, runtime: caller }: Clients): Promise<string> {
  const { provisionedModelArn } = await client.send(
    new bedrock.CreateProvisionedModelThroughputCommand({ provisionedModelName: 'bought', modelId: MODEL, modelUnits: 1 }),
  )
  const { status, modelUnits } = await client.send(new bedrock.GetProvisionedModelThroughputCommand({ provisionedModelId: provisionedModelArn }))
  assert.equal(status, 'InService')
  const answer = await caller.send(
    new runtime.ConverseCommand({
      modelId: provisionedModelArn,
      messages: [{ role: 'user', content: [{ text: CAPITAL }] }],
      inferenceConfig: { maxTokens: 16, temperature: 0 },
      serviceTier: { type: 'reserved' },
    }),
  )
  assert.equal(answer.serviceTier?.type, 'reserved')
  await client.send(new bedrock.DeleteProvisionedModelThroughputCommand({ provisionedModelId: provisionedModelArn }))
  return `${modelUnits} unit, tier ${answer.serviceTier?.type}: ${JSON.stringify(answer.output?.message?.content?.[0]?.text)}`
}

/** Many calls in one object, at the price of batches, with what the others leave over. */
async function inBatch({ bedrock: client, bucket }: Clients): Promise<string> {
  const records = Array.from({ length: 20 }, (_, index) => ({
    recordId: `record-${index}`,
    modelInput: { messages: [{ role: 'user', content: [{ text: CAPITAL }] }], inferenceConfig: { maxTokens: 8 } },
  }))
  bucket.put('batch/in/records.jsonl', records.map((record) => JSON.stringify(record)).join('\n'))
  const { jobArn } = await client.send(
    new bedrock.CreateModelInvocationJobCommand({
      jobName: 'twenty',
      roleArn: ROLE,
      modelId: MODEL,
      modelInvocationType: 'Converse',
      inputDataConfig: { s3InputDataConfig: { s3Uri: bucket.uri('batch/in/') } },
      outputDataConfig: { s3OutputDataConfig: { s3Uri: bucket.uri('batch/out/') } },
    }),
  )
  const job = await until('the batch', async () => {
    const now = await client.send(new bedrock.GetModelInvocationJobCommand({ jobIdentifier: jobArn }))
    return now.status === 'Completed' || now.status === 'Failed' ? now : null
  })
  assert.equal(job.status, 'Completed')
  const id = jobArn?.split('/').at(-1) ?? ''
  const lines = (bucket.get(bucket.uri(`batch/out/${id}/records.jsonl.out`)) ?? '').trim().split('\n')
  assert.equal(lines.filter((line) => line.includes('modelOutput')).length, 20)
  return `${lines.length} records`
}

/** Running calls end first; then nothing is left. */
async function cleanedUp({ sagemaker: client }: Clients): Promise<string> {
  for (const EndpointName of ['chat', 'sleepy']) {
    await client.send(new sagemaker.DeleteEndpointCommand({ EndpointName }))
    await sagemaker.waitUntilEndpointDeleted({ client, ...WAIT }, { EndpointName })
  }
  for (const EndpointConfigName of ['chat-v1', 'chat-v2', 'sleepy'])
    await client.send(new sagemaker.DeleteEndpointConfigCommand({ EndpointConfigName }))
  for (const ModelName of ['chat', 'chat-small']) await client.send(new sagemaker.DeleteModelCommand({ ModelName }))
  const { Endpoints } = await client.send(new sagemaker.ListEndpointsCommand({}))
  assert.deepEqual(Endpoints, [])
  return 'nothing left'
}

/** The bucket of the team `local` is a folder of this machine; one in S3 would be used with the client of S3. */
class Bucket {
  private readonly name: string
  private readonly folder: string

  constructor(name: string, folder: string) {
    this.name = name
    this.folder = folder
  }

  uri(key: string): string {
    return `s3://${this.name}/${key}`
  }

  put(key: string, text: string): void {
    const file = path.join(this.folder, key)
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, text)
  }

  /** null = there is no such object (yet): it is whole or absent. */
  get(uri: string): string | null {
    const file = path.join(this.folder, uri.slice(this.uri('').length))
    return existsSync(file) ? readFileSync(file, 'utf8') : null
  }
}

function textOf(body: Uint8Array | undefined): string {
  const answer = JSON.parse(Buffer.from(body ?? []).toString()) as { readonly choices: readonly { readonly message: { readonly content: string } }[] }
  return answer.choices[0]?.message.content ?? ''
}

/** Asks until there is something; throws after a minute. */
async function until<T>(what: string, ask: () => Promise<T | null>): Promise<T> {
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; await sleep(100)) {
    const found = await ask()
    if (found !== null) return found
  }
  throw new Error(`${what} did not come within a minute`)
}
