/** Batch transform with boto3 on the real desk, from objects to objects; where this machine has no boto3, the same requests by hand. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { AWS_ENVIRONMENT, COMMAND_TIMEOUT_MS, hasCommand } from './aws-commands.ts'
import { type ComposedServer, startComposedServer } from './composed-server.ts'
import { FakeModel, sayWords, type Script } from './fake-model.ts'

type Call = readonly [operation: string, args: Readonly<Record<string, unknown>>]
type Answer = Readonly<Record<string, unknown>>

const BUCKET = 's3://inferd-local'
const CLIENT = path.join(import.meta.dirname, 'python/sagemaker_transform.py')
const NEVER = new AbortController().signal
const HAS_BOTO3 = hasCommand('python3', '-c', 'import boto3')

/** Says what it was told; `hang` waits to be taken back. */
const echo: Script = async function* (request, signal) {
  const prompt = request.input.kind === 'text' ? request.input.text : ''
  if (prompt === 'hang') await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  yield* sayWords([prompt])(request, signal)
}

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-transforms-'))
let server: ComposedServer

beforeAll(async () => {
  server = await startComposedServer('prices:\n  fake/model: { input: 2, output: 4, batch: 0.5 }', [new FakeModel({ script: echo })], {
    dataDir: folder,
  })
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const call = HAS_BOTO3 ? callBoto3 : callByHand

async function callBoto3(calls: readonly Call[]): Promise<readonly Answer[]> {
  const child = spawn('python3', [CLIENT, server.url], { env: AWS_ENVIRONMENT, timeout: COMMAND_TIMEOUT_MS, stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(JSON.stringify(calls))
  return JSON.parse(await text(child.stdout)) as readonly Answer[]
}

async function callByHand(calls: readonly Call[]): Promise<readonly Answer[]> {
  const answers: Answer[] = []
  for (const [name, args] of calls) {
    const operation = name === 'wait' ? 'DescribeTransformJob' : name.replaceAll(/(?:^|_)(\w)/g, (_all, letter: string) => letter.toUpperCase())
    for (;;) {
      const response = await post(operation, JSON.stringify(args))
      const answer = response.text === '' ? {} : (JSON.parse(response.text) as Answer)
      if (name === 'wait' && ['InProgress', 'Stopping'].includes(String(answer['TransformJobStatus']))) continue
      answers.push(response.status === 200 ? answer : { class: answer['__type'], code: answer['__type'], message: answer['message'] })
      break
    }
  }
  return answers
}

async function post(operation: string, body: string): Promise<{ readonly status: number; readonly text: string; readonly type: string | null }> {
  const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `SageMaker.${operation}` }
  const response = await fetch(`${server.url}/`, { method: 'POST', headers, body })
  return { status: response.status, text: await response.text(), type: response.headers.get('content-type') }
}

async function put(uri: string, content: string): Promise<void> {
  const { bucket, key } = server.objects!.locate(LOCAL_PRINCIPAL.team, uri)
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(content)
  }
  await bucket.put(key, chunks(), { contentType: 'x/y', maxBytes: 2 ** 30, ifAbsent: false }, NEVER)
}

async function read(uri: string): Promise<string> {
  const { bucket, key } = server.objects!.locate(LOCAL_PRINCIPAL.team, uri)
  return Buffer.concat(await Array.fromAsync(bucket.read(key, 0, NEVER))).toString()
}

function order(name: string, { input = {}, output = {}, ...more }: Readonly<Record<string, object | string | number>> = {}): Record<string, unknown> {
  const source = { S3DataType: 'S3Prefix', S3Uri: `${BUCKET}/${name}/in/` }
  return {
    TransformJobName: name,
    ModelName: 'fake-model',
    TransformInput: { DataSource: { S3DataSource: source }, ContentType: 'application/jsonlines', SplitType: 'Line', ...(input as object) },
    TransformOutput: { S3OutputPath: `${BUCKET}/${name}/out`, Accept: 'application/jsonlines', AssembleWith: 'Line', ...(output as object) },
    TransformResources: { InstanceType: 'ml.m5.large', InstanceCount: 1 },
    ...more,
  }
}

const jsonl = (count: number): string => Array.from({ length: count }, (_, id) => JSON.stringify({ id, ask: { inputs: `I am ${id}` } })).join('\n')

test(
  'a job is made, described, listed, and its output lies where it was to lie',
  async () => {
    await put(`${BUCKET}/first/in/a.jsonl`, jsonl(9))
    await put(`${BUCKET}/first/in/b/c.jsonl`, jsonl(1))
    const asked = order('first', {
      DataProcessing: { InputFilter: '$.ask', JoinSource: 'Input', OutputFilter: "$['id','SageMakerOutput']" },
      MaxConcurrentTransforms: 3,
    })
    const name = { TransformJobName: 'first' }
    const [made, ended, again, list, stop] = await call([
      ['create_transform_job', asked],
      ['wait', name],
      ['create_transform_job', asked],
      ['list_transform_jobs', { NameContains: 'irs', StatusEquals: 'Completed' }],
      ['stop_transform_job', name],
    ])
    const arn = 'arn:aws:sagemaker:local:000000000000:transform-job/first'
    expect(made).toEqual({ TransformJobArn: arn })
    expect(ended).toMatchObject({ ...asked, TransformJobArn: arn, TransformJobStatus: 'Completed', CreationTime: expect.any(Number) as number })
    expect(Number(ended?.['TransformEndTime'])).toBeGreaterThanOrEqual(Number(ended?.['TransformStartTime']))
    expect(again).toMatchObject({ code: 'ResourceInUse', message: expect.stringContaining('Job name must be unique') as string })
    expect(list).toMatchObject({ TransformJobSummaries: [{ TransformJobName: 'first', TransformJobArn: arn, TransformJobStatus: 'Completed' }] })
    expect(stop).toMatchObject({ code: 'ValidationException', message: expect.stringContaining('is in status Completed') as string })
    const lines = (await read(`${BUCKET}/first/out/a.jsonl.out`)).trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(
      Array.from({ length: 9 }, (_, id) => ({ id, SageMakerOutput: [{ generated_text: `I am ${id}` }] })),
    )
    expect((await read(`${BUCKET}/first/out/b/c.jsonl.out`)).split('\n')).toHaveLength(2)
    expect(await server.tiers()).toEqual(Array.from({ length: 10 }, () => 'flex'))
  },
  COMMAND_TIMEOUT_MS,
)

test(
  'a job is stopped and has no output; failed ones say why',
  async () => {
    await put(`${BUCKET}/stopped/in/a`, '{"inputs":"hang"}')
    await put(`${BUCKET}/refused/in/a`, '{"inputs":"x"}\n{"inputs":"x","parameters":{"temperature":-1}}')
    await put(`${BUCKET}/csv/in/a`, 'a,b')
    const asCsv = order('csv', { input: { ContentType: 'text/csv' } })
    const answers = await call([
      ['create_transform_job', order('stopped')],
      ['create_transform_job', order('refused')],
      ['create_transform_job', order('empty')],
      ['create_transform_job', asCsv],
      ['stop_transform_job', { TransformJobName: 'stopped' }],
      ...['stopped', 'refused', 'empty', 'csv'].map((name): Call => ['wait', { TransformJobName: name }]),
      ['list_transform_jobs', { SortBy: 'Name', SortOrder: 'Ascending', StatusEquals: 'Failed', MaxResults: 2 }],
    ])
    const [stopped, refused, empty, csv, page] = answers.slice(5)
    expect(stopped).toMatchObject({ TransformJobStatus: 'Stopped' })
    expect(await server.objects!.locate(LOCAL_PRINCIPAL.team, BUCKET).bucket.head('stopped/out/a.out', NEVER)).toBeNull()
    const words = 'record of line 2: ClientError: Received client error (400) from the model: parameters.temperature'
    expect(refused).toMatchObject({ TransformJobStatus: 'Failed', FailureReason: expect.stringContaining(words) as string })
    expect(empty).toMatchObject({
      TransformJobStatus: 'Failed',
      FailureReason: expect.stringContaining('No S3 objects found under S3 URL') as string,
    })
    expect(csv).toMatchObject({ TransformJobStatus: 'Failed', FailureReason: expect.stringContaining('(415) from the model') as string })
    expect(page).toMatchObject({
      TransformJobSummaries: [{ TransformJobName: 'csv' }, { TransformJobName: 'empty' }],
      NextToken: expect.any(String) as string,
    })
    const token = String(page?.['NextToken'])
    const [rest, wrong] = await call([
      ['list_transform_jobs', { SortBy: 'Name', SortOrder: 'Ascending', StatusEquals: 'Failed', NextToken: token }],
      ['list_transform_jobs', { NextToken: 'none' }],
    ])
    expect(rest).toMatchObject({ TransformJobSummaries: [{ TransformJobName: 'refused' }] })
    expect(rest).not.toHaveProperty('NextToken')
    expect(wrong).toMatchObject({ code: 'ValidationException' })
  },
  COMMAND_TIMEOUT_MS,
)

const refusals: readonly (readonly [string, Record<string, unknown>, string])[] = [
  ['no input', { ...order('x'), TransformInput: undefined }, "Value null at 'transformInput' failed to satisfy constraint: Member must not be null"],
  [
    'a name with a blank',
    { ...order('x'), TransformJobName: 'a b' },
    "Value 'a b' at 'transformJobName' failed to satisfy constraint: Member must satisfy regular expression",
  ],
  ['a strategy of nobody', order('x', { BatchStrategy: 'Some' }), 'Member must satisfy enum value set: [MultiRecord, SingleRecord]'],
  ['a model of nobody', { ...order('x'), ModelName: 'nobody' }, 'Could not find model "nobody".'],
  ['a bucket of nobody', order('x', { output: { S3OutputPath: 's3://nobody/x' } }), 'S3OutputPath'],
  ['an output inside of the input', order('x', { output: { S3OutputPath: `${BUCKET}/x/in/out` } }), 'outputs would be inputs'],
  ['payloads that are too many', order('x', { MaxPayloadInMB: 30, MaxConcurrentTransforms: 4 }), 'must not be greater than 100 MB'],
  ['a payload without a bound', order('x', { MaxPayloadInMB: 0 }), 'MaxPayloadInMB 0 is not offered'],
  ['a filter that is none', order('x', { DataProcessing: { InputFilter: '$..a' } }), 'InputFilter is not a JSONPath'],
  [
    'a filter of what is not read',
    order('x', { input: { ContentType: 'image/png' }, DataProcessing: { InputFilter: '$.a' } }),
    'DataProcessing is for input',
  ],
  ['RecordIO', order('x', { input: { SplitType: 'RecordIO' } }), 'SplitType RecordIO is not offered'],
  ['an environment', order('x', { Environment: { A: 'b' } }), 'Environment is not offered'],
  ['a key', order('x', { output: { KmsKeyId: 'k' } }), 'KmsKeyId is not offered'],
  ['a number for a name', { ...order('x'), TransformJobName: 7 }, "the value at 'transformJobName' is of another type"],
  ['a header in a type', order('x', { input: { ContentType: 'a\r\nb: c' } }), 'transformInput.contentType'],
  ['a member of nobody', { ...order('x'), Nothing: 1 }, 'Nothing is not known here'],
]

test('what is wrong with an order is told in the words of AWS, and makes no job', async () => {
  const answers = await Promise.all(refusals.map(([, body]) => post('CreateTransformJob', JSON.stringify(body))))
  for (const [index, [name, , words]] of refusals.entries()) {
    const { status, text: body, type } = answers[index]!
    expect([name, status, type]).toEqual([name, 400, 'application/x-amz-json-1.1; charset=utf-8'])
    const { __type: code, message } = JSON.parse(body) as { readonly __type: string; readonly message: string }
    expect(code).toMatch(/^(?:Validation|Serialization)Exception$/)
    expect(message).toContain(words)
  }
  expect(JSON.parse((await post('DescribeTransformJob', '{"TransformJobName":"x"}')).text)).toEqual({
    __type: 'ResourceNotFound',
    message: 'Could not find requested job with name: x.',
  })
  for (const body of ['[]', '{', '\ufeff', '7'])
    expect(JSON.parse((await post('ListTransformJobs', body)).text)).toMatchObject({ __type: 'SerializationException' })
})

test.runIf(HAS_BOTO3)('boto3 is the client of these tests', () => {
  expect(execFileSync('python3', ['-c', 'import boto3; print(boto3.__version__)']).toString()).toMatch(/^\d/)
})
