/** Work that is accepted now and done later: asynchronous invocations, batches of OpenAI, batch transforms. */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'vitest'
import { accepted, deadline, ended, getJson, type LoadKind, post, type Target } from './load-kind.ts'

interface Invocation {
  readonly id: string
  readonly state: string
  readonly ended_at: string | null
}

interface Batch {
  readonly id: string
  readonly status: string
  readonly output_file_id: string | null
}

interface Completion {
  readonly choices: readonly { readonly message: { readonly content: string } }[]
}

function chat(name: string): { readonly messages: readonly object[] } {
  return { messages: [{ role: 'user', content: `record ${name}` }] }
}

const contentOf = ({ choices }: Completion): string | undefined => choices[0]?.message.content
const endOfBatch = ({ status }: Batch): boolean => ['completed', 'failed', 'expired', 'cancelled'].includes(status)

export class AsyncLoad implements LoadKind {
  readonly name = 'asynchronous invocations'
  /** Names by id. */
  private readonly acknowledged = new Map<string, string>()
  private readonly outputs: string
  private numSent = 0

  constructor(bucket: string) {
    this.outputs = path.join(bucket, 'async/output')
  }

  get numAcknowledged(): number {
    return this.acknowledged.size
  }

  async once(target: Target): Promise<void> {
    const name = `async-${this.numSent++}`
    const { id } = await accepted<Invocation>(
      post(target, '/endpoints/far/async', JSON.stringify(chat(name)), { 'x-amzn-sagemaker-inference-id': name }),
    )
    this.acknowledged.set(id, name)
  }

  async check(target: Target): Promise<void> {
    for (const id of this.acknowledged.keys()) {
      const view = await ended(
        () => getJson<Invocation>(target, `/async/${id}`),
        ({ ended_at }) => ended_at !== null,
      )
      expect(view.state, id).toBe('succeeded')
    }
    const shown = new Map<string, string>()
    for (const file of readdirSync(this.outputs)) {
      const content = contentOf(JSON.parse(readFileSync(path.join(this.outputs, file), 'utf8')) as Completion) ?? ''
      expect(shown.has(content), `${content} is shown twice`).toBe(false)
      shown.set(content, file)
    }
    for (const [id, name] of this.acknowledged) expect(shown.get(`record ${name}`), id).toBe(`${id}.out`)
  }
}

export class BatchLoad implements LoadKind {
  readonly name = 'batches'
  private readonly acknowledged = new Map<string, readonly string[]>()
  private readonly numRecords: number
  private numSent = 0

  constructor(numRecords: number) {
    this.numRecords = numRecords
  }

  get numAcknowledged(): number {
    return this.acknowledged.size
  }

  async once(target: Target): Promise<void> {
    const batch = this.numSent++
    const names = Array.from({ length: this.numRecords }, (_, index) => `batch-${batch}-${index}`)
    const line = (name: string): string =>
      JSON.stringify({ custom_id: name, method: 'POST', url: '/v1/chat/completions', body: { model: 'far', ...chat(name) } })
    const form = new FormData()
    form.set('purpose', 'batch')
    form.set('file', new Blob([names.map(line).join('\n')]), 'in.jsonl')
    const file = await accepted<{ id: string }>(fetch(`${target.baseUrl}/v1/files`, { method: 'POST', body: form, signal: deadline() }))
    const order = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' }
    const { id } = await accepted<Batch>(post(target, '/v1/batches', JSON.stringify(order)))
    this.acknowledged.set(id, names)
  }

  async check(target: Target): Promise<void> {
    const all = await ended(
      () => this.all(target),
      (batches) => batches.every(endOfBatch),
    )
    expect(all.filter(({ status }) => status !== 'completed')).toEqual([])
    const ids = new Set(all.map(({ id }) => id))
    for (const id of this.acknowledged.keys()) expect(ids.has(id), `${id} was acknowledged and is lost`).toBe(true)
    const outputs = await getJson<{ data: readonly { id: string }[] }>(target, '/v1/files?purpose=batch_output&limit=1000')
    expect(outputs.data.map(({ id }) => id).toSorted()).toEqual(all.map(({ output_file_id }) => output_file_id).toSorted())
    for (const { id, output_file_id } of all) {
      const names = this.acknowledged.get(id)
      if (names === undefined) continue
      const text = await (await fetch(`${target.baseUrl}/v1/files/${output_file_id}/content`, { signal: deadline() })).text()
      const lines = text
        .trimEnd()
        .split('\n')
        .map((each) => JSON.parse(each) as { custom_id: string; response: { body: Completion } })
      expect(lines.map(({ custom_id }) => custom_id)).toEqual(names)
      expect(lines.map(({ response }) => contentOf(response.body))).toEqual(names.map((name) => `record ${name}`))
    }
  }

  private async all(target: Target): Promise<readonly Batch[]> {
    const found: Batch[] = []
    for (let after = ''; ;) {
      const page = await getJson<{ data: readonly Batch[]; has_more: boolean }>(target, `/v1/batches?limit=100${after}`)
      found.push(...page.data)
      if (!page.has_more) return found
      after = `&after=${page.data.at(-1)?.id}`
    }
  }
}

export class TransformLoad implements LoadKind {
  readonly name = 'batch transforms'
  private readonly acknowledged = new Map<string, readonly string[]>()
  private readonly bucket: string
  private readonly numRecords: number
  private numSent = 0

  constructor(bucket: string, numRecords: number) {
    this.bucket = bucket
    this.numRecords = numRecords
  }

  get numAcknowledged(): number {
    return this.acknowledged.size
  }

  async once(target: Target): Promise<void> {
    const name = `transform-${this.numSent++}`
    const names = Array.from({ length: this.numRecords }, (_, index) => `${name}-${index}`)
    this.layInput(name, names)
    await accepted(
      control(target, 'CreateTransformJob', {
        TransformJobName: name,
        ModelName: 'far',
        MaxConcurrentTransforms: 4,
        TransformInput: { DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri: `s3://inferd-local/in/${name}/` } }, SplitType: 'Line' },
        TransformOutput: { S3OutputPath: `s3://inferd-local/out/${name}/`, AssembleWith: 'Line' },
        TransformResources: { InstanceType: 'ml.m5.large', InstanceCount: 1 },
      }),
    )
    this.acknowledged.set(name, names)
  }

  async check(target: Target): Promise<void> {
    for (const [name, names] of this.acknowledged) {
      const look = (): Promise<Record<string, unknown>> => accepted(control(target, 'DescribeTransformJob', { TransformJobName: name }))
      const job = await ended(look, ({ TransformJobStatus }) => TransformJobStatus !== 'InProgress')
      expect([name, job['TransformJobStatus'], job['FailureReason']]).toEqual([name, 'Completed', undefined])
      const folder = path.join(this.bucket, 'out', name)
      expect(readdirSync(folder)).toEqual(['a.jsonl.out'])
      const lines = readFileSync(path.join(folder, 'a.jsonl.out'), 'utf8').trimEnd().split('\n')
      expect(lines.map((line) => contentOf(JSON.parse(line) as Completion))).toEqual(names.map((each) => `record ${each}`))
    }
  }

  /** As a person lays a file into the folder: whole. */
  private layInput(name: string, names: readonly string[]): void {
    const folder = path.join(this.bucket, 'in', name)
    mkdirSync(path.join(this.bucket, 'drafts'), { recursive: true })
    mkdirSync(path.dirname(folder), { recursive: true })
    mkdirSync(folder)
    const draft = path.join(this.bucket, 'drafts', name)
    writeFileSync(draft, names.map((each) => JSON.stringify(chat(each))).join('\n'))
    renameSync(draft, path.join(folder, 'a.jsonl'))
  }
}

function control(target: Target, operation: string, body: object): Promise<Response> {
  return post(target, '/', JSON.stringify(body), { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `SageMaker.${operation}` })
}
