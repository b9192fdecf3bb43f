/** DataCaptureConfig by the clients of AWS on a real server: switched on, narrowed and off by updates, by inferd.yaml, and the end of the server. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import {
  CreateEndpointConfigCommand,
  type DataCaptureConfig,
  DescribeEndpointCommand,
  DescribeEndpointConfigCommand,
  UpdateEndpointCommand,
  waitUntilEndpointInService,
} from '@aws-sdk/client-sagemaker'
import { InvokeEndpointCommand } from '@aws-sdk/client-sagemaker-runtime'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AwsClients, awsClients, JSON_TYPE, makeEndpoint, makeModel, WAIT } from './aws-clients.ts'
import { InferdProcess } from './inferd-process.ts'
import { runInferd } from './run-inferd.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-capture-'))
const bucket = path.join(folder, 'bucket')
const CAPTURE: DataCaptureConfig = {
  EnableCapture: true,
  InitialSamplingPercentage: 100,
  DestinationS3Uri: 's3://kept/calls',
  CaptureOptions: [{ CaptureMode: 'Input' }, { CaptureMode: 'Output' }],
  CaptureContentTypeHeader: { JsonContentTypes: [JSON_TYPE] },
}
let server: InferdProcess
let aws: AwsClients

beforeAll(async () => {
  mkdirSync(bucket)
  const config = path.join(folder, 'platform.yaml')
  writeFileSync(config, `objects: { buckets: { kept: { folder: "${bucket}" } } }\n`)
  server = await (await InferdProcess.start('--log-level', 'warn', '--data-dir', path.join(folder, 'data'), '--config', config)).ready()
  aws = awsClients(server.baseUrl)
  await makeModel(aws, 'm')
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function makeCaptured(name: string, capture: Partial<DataCaptureConfig>): Promise<void> {
  const variant = { VariantName: 'main', ModelName: 'm', InstanceType: 'ml.m5.large' as const, InitialInstanceCount: 1 }
  const DataCaptureConfig = { ...CAPTURE, ...capture }
  await aws.control.send(new CreateEndpointConfigCommand({ EndpointConfigName: name, ProductionVariants: [variant], DataCaptureConfig }))
}

async function update(config: string): Promise<void> {
  await aws.control.send(new UpdateEndpointCommand({ EndpointName: 'e', EndpointConfigName: config }))
  await waitUntilEndpointInService({ client: aws.control, ...WAIT }, { EndpointName: 'e' })
}

async function invoke(inferenceId: string, endpoint = 'e'): Promise<string> {
  const Body = JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], max_tokens: 1 })
  const answer = await aws.runtime.send(new InvokeEndpointCommand({ EndpointName: endpoint, ContentType: JSON_TYPE, InferenceId: inferenceId, Body }))
  return Buffer.from(answer.Body).toString()
}

interface Record {
  readonly captureData: { readonly endpointInput?: { readonly data: string }; readonly endpointOutput?: { readonly data: string } }
  readonly eventMetadata: { readonly inferenceId: string }
}

function records(under = 'calls/e/main'): readonly Record[] {
  const files = readdirSync(path.join(bucket, under), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.jsonl'))
  return files.flatMap((file) => {
    const lines = readFileSync(path.join(bucket, under, file), 'utf8')
      .trimEnd()
      .split('\n')
    return lines.map((line) => JSON.parse(line) as Record)
  })
}

const idsOf = (list: readonly Record[]): readonly string[] => list.map(({ eventMetadata }) => eventMetadata.inferenceId).toSorted()

test('an endpoint whose configuration captures says so, and what cannot be is refused by name', async () => {
  await makeCaptured('all', {})
  await makeEndpoint(aws, 'e', 'all')
  const { DataCaptureConfig: summary } = await aws.control.send(new DescribeEndpointCommand({ EndpointName: 'e' }))
  expect(summary).toEqual({
    EnableCapture: true,
    CaptureStatus: 'Started',
    CurrentSamplingPercentage: 100,
    DestinationS3Uri: 's3://kept/calls',
    KmsKeyId: '',
  })
  expect((await aws.control.send(new DescribeEndpointConfigCommand({ EndpointConfigName: 'all' }))).DataCaptureConfig).toEqual(CAPTURE)
  const bad: readonly (readonly [Partial<DataCaptureConfig>, RegExp])[] = [
    [{ KmsKeyId: 'alias/mine' }, /KmsKeyId is not offered/],
    [{ DestinationS3Uri: 's3://nowhere/x' }, /no such bucket/],
    [{ DestinationS3Uri: 's3://kept/a/..' }, /'\.' or '\.\.'/],
    [{ DestinationS3Uri: 'https://kept/x' }, /s3:\/\/bucket\/key/],
    [{ InitialSamplingPercentage: 101 }, /less than or equal to 100/],
    [{ CaptureOptions: [] }, /at least one option/],
    [{ CaptureOptions: [{ CaptureMode: 'Both' as 'Input' }] }, /enum value set/],
    [{ CaptureContentTypeHeader: { JsonContentTypes: [] } }, /at least one content type/],
  ]
  for (const [capture, words] of bad) await expect(makeCaptured('bad', capture), String(words)).rejects.toThrow(words)
})

test('updates narrow it and switch it off, a document declares it, and what waits is written when the server ends', async () => {
  const answers = new Map<string, string>()
  for (const id of ['a-1', 'a-2']) answers.set(id, await invoke(id))
  await makeCaptured('off', { EnableCapture: false })
  await update('off')
  expect((await aws.control.send(new DescribeEndpointCommand({ EndpointName: 'e' }))).DataCaptureConfig).toMatchObject({ CaptureStatus: 'Stopped' })
  await invoke('off-1')
  await makeCaptured('input', { CaptureOptions: [{ CaptureMode: 'Input' }] })
  await update('input')
  for (const id of ['in-1', 'in-2']) await invoke(id)

  // By the file, with a folder of its own; the server ends before the time of a batch has come.
  const file = path.join(folder, 'inferd.yaml')
  const declared = 'endpoints: [{ name: y, variants: [{ model: chat }], capture: { to: "s3://kept/yaml", output: false } }]'
  writeFileSync(file, `models: [{ name: chat, served: inferd-chat, kvCacheMib: 16 }]\n${declared}\n`)
  const applied = await runInferd(['apply', '-y', '-f', file, '--url', server.baseUrl])
  expect([applied.exitCode, (await runInferd(['apply', '-y', '-f', file, '--url', server.baseUrl])).stdout]).toEqual([0, 'nothing to change\n'])
  expect((await runInferd(['status', '--url', server.baseUrl])).stdout).toContain('captures 100% to s3://kept/yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replace('output: false', 'percent: 5'))
  expect((await runInferd(['diff', '-f', file, '--url', server.baseUrl])).stdout).toContain('capture.percent: 100 -> 5')
  await invoke('y-1', 'y')

  server.child.kill('SIGTERM')
  expect(await server.exited()).toBe(0)
  const all = records()
  expect(idsOf(all)).toEqual(['a-1', 'a-2', 'in-1', 'in-2'])
  for (const { captureData, eventMetadata } of all) expect(captureData.endpointOutput?.data).toBe(answers.get(eventMetadata.inferenceId))
  expect(idsOf(records('yaml/y/main'))).toEqual(['y-1'])
})
