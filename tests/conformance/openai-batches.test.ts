/** Batches with the official OpenAI client, on the real desk: file in, batch, poll, files out; whatever is wrong with the file or comes between. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import OpenAI, { toFile } from 'openai'
import type { Batch, BatchCreateParams } from 'openai/resources/batches'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type ComposedServer, startComposedServer } from './composed-server.ts'
import { FakeModel, type Script, sayNothing, sayWords } from './fake-model.ts'
import { rejection } from './openai-suite.ts'

const YAML = `
prices:
  fake/model: { input: 2, output: 4, batch: 0.5, tiers: { flex: 1 } }
`
const CHAT = '/v1/chat/completions'
const HELLO: Script = sayWords(['Hello', ' there'])

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-batches-'))
const model = new FakeModel()
let server: ComposedServer
let client: OpenAI

beforeAll(async () => {
  server = await startComposedServer(YAML, [model], { dataDir: folder })
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'unused', maxRetries: 0 })
})

beforeEach(() => {
  model.script = HELLO
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

type Endpoint = BatchCreateParams['endpoint']

const line = (customId: string, body: object = {}, url: Endpoint = CHAT): object => ({
  custom_id: customId,
  method: 'POST',
  url,
  body: { model: 'fake/model', ...(url === CHAT ? { messages: [{ role: 'user', content: `I am ${customId}` }] } : {}), ...body },
})

async function create(content: string, more: Partial<BatchCreateParams> = {}): Promise<Batch> {
  const file = await client.files.create({ file: await toFile(Buffer.from(content), 'in.jsonl'), purpose: 'batch' })
  return client.batches.create({ input_file_id: file.id, endpoint: CHAT, completion_window: '24h', ...more })
}

const jsonl = (lines: readonly object[]): string => lines.map((each) => JSON.stringify(each)).join('\n')

async function until(id: string, isWanted: (batch: Batch) => boolean): Promise<Batch> {
  for (;;) {
    const batch = await client.batches.retrieve(id)
    if (isWanted(batch)) return batch
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const ended = (id: string): Promise<Batch> => until(id, ({ status }) => ['completed', 'failed', 'expired', 'cancelled'].includes(status))

interface OutputLine {
  readonly id: string
  readonly custom_id: string
  readonly response: { readonly status_code: number; readonly request_id: string; readonly body: OpenAI.ChatCompletion } | null
  readonly error: { readonly code: string } | null
}

async function linesOf(fileId: string | null | undefined): Promise<readonly OutputLine[]> {
  const text = await (await client.files.content(fileId ?? '')).text()
  expect(text.endsWith('\n')).toBe(true)
  return text
    .trimEnd()
    .split('\n')
    .map((each) => JSON.parse(each) as OutputLine)
}

test('a batch runs from file to files, in the order of its input, and costs half', async () => {
  const before = await server.ledger('fake/model')
  const asked = [line('a'), line('b', { max_tokens: 'many' }), line('c'), line('d', { model: 'nobody' }), line('e', { stream: true })]
  const made = await create(jsonl(asked), { metadata: { why: 'test' } })
  expect(made).toMatchObject({
    object: 'batch',
    endpoint: CHAT,
    status: 'validating',
    completion_window: '24h',
    metadata: { why: 'test' },
    errors: null,
  })
  expect(made.id).toMatch(/^batch_/)
  expect(made.expires_at).toBe(made.created_at + 86_400)
  const batch = await ended(made.id)
  expect(batch).toMatchObject({
    status: 'completed',
    request_counts: { total: 5, completed: 2, failed: 3 },
    usage: { input_tokens: 14, output_tokens: 4, total_tokens: 18 },
  })
  for (const time of [batch.in_progress_at, batch.finalizing_at, batch.completed_at]) expect(time).toBeGreaterThanOrEqual(made.created_at)
  const output = await linesOf(batch.output_file_id)
  expect(output.map(({ custom_id }) => custom_id)).toEqual(['a', 'c'])
  expect(output[0]).toMatchObject({ error: null, response: { status_code: 200, body: { object: 'chat.completion', model: 'fake/model' } } })
  expect(output[0]?.response?.body.choices[0]?.message.content).toBe('Hello there')
  expect(output[0]?.id).toMatch(/^batch_req_/)
  const errors = await linesOf(batch.error_file_id)
  expect(errors.map(({ custom_id, response }) => [custom_id, response?.status_code])).toEqual([
    ['b', 400],
    ['d', 404],
    ['e', 400],
  ])
  expect(errors[2]).toMatchObject({ response: { body: { error: { code: 'unsupported_parameter', param: 'stream' } } } })
  expect(await client.files.retrieve(batch.output_file_id ?? '')).toMatchObject({ purpose: 'batch_output', filename: `${made.id}_output.jsonl` })
  const after = await server.ledger('fake/model')
  expect(after.inputTokens - before.inputTokens).toBe(14)
  expect((Number(after.costUsd) - Number(before.costUsd)).toFixed(9)).toBe(((14 * 2 + 4 * 4) / 2 / 1e6).toFixed(9))
})

test.each([
  ['/v1/completions', { prompt: 'Once' }, 'text_completion'],
  ['/v1/embeddings', { input: 'Once' }, 'list'],
  ['/v1/responses', { input: 'Once', store: false }, 'response'],
] as const)('a batch of %s', async (endpoint, body, object) => {
  const { id } = await create(jsonl([line('a', body, endpoint)]), { endpoint })
  const batch = await ended(id)
  expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 1, completed: 1, failed: 0 }, error_file_id: null })
  expect(batch.usage?.input_tokens).toBeGreaterThan(0)
  const [output] = await linesOf(batch.output_file_id)
  expect(output?.response?.body.object).toBe(object)
})

test('calls of a batch wait in the tier of what is left over', async () => {
  const { id } = await create(jsonl([line('a')]))
  await ended(id)
  expect((await server.tiers()).at(-1)).toBe('flex')
})

const many = (count: number): object[] => Array.from({ length: count }, (_, index) => line(`r${index}`))
const spoilt = (lines: readonly object[], at: number, text: string): string =>
  lines.map((each, index) => (index === at ? text : JSON.stringify(each))).join('\r\n')

test.each([
  ['a line that is no JSON, at 7 of 10,000', spoilt(many(10_000), 6, '{"custom_id": '), [['invalid_json_line', null, 7]]],
  ['a line that is no object', spoilt(many(3), 1, '[1]'), [['invalid_json_line', null, 2]]],
  ['a line of 50 MB', spoilt(many(2), 1, `{"custom_id":"${'x'.repeat(50 * 2 ** 20)}"}`), [['invalid_json_line', null, 2]]],
  ['a custom_id that comes twice', jsonl([line('a'), line('b'), line('a')]), [['duplicate_custom_id', 'custom_id', 3]]],
  ['no custom_id', jsonl([{ ...line('a'), custom_id: undefined }]), [['missing_required_parameter', 'custom_id', 1]]],
  ['a custom_id that is a number', jsonl([{ ...line('a'), custom_id: 7 }]), [['invalid_custom_id', 'custom_id', 1]]],
  ['a request of another endpoint', jsonl([line('a'), line('b', {}, '/v1/embeddings')]), [['url_mismatch', 'url', 2]]],
  ['a request of another method', jsonl([{ ...line('a'), method: 'GET' }]), [['invalid_method', 'method', 1]]],
  ['a body that is a string', jsonl([{ ...line('a'), body: '{}' }]), [['invalid_type', 'body', 1]]],
  ['an empty file', '', [['empty_file', null, null]]],
  ['nothing but ends of lines', '\r\n\n\n', [['empty_file', null, null]]],
  [
    'too many requests',
    Array.from({ length: 50_001 }, (_, index) => `{"custom_id":"${index}","method":"POST","url":"${CHAT}","body":{}}`).join('\n'),
    [['too_many_tasks', null, null]],
  ],
  [
    'two faults',
    spoilt(many(9), 8, 'no').replace('POST', 'PUT'),
    [
      ['invalid_method', 'method', 1],
      ['invalid_json_line', null, 9],
    ],
  ],
] as const)('%s fails the batch, with the line', async (_name, content, expected) => {
  const numBefore = model.requests.length
  const batch = await ended((await create(content)).id)
  expect(batch).toMatchObject({ status: 'failed', output_file_id: null, error_file_id: null, request_counts: { total: 0, completed: 0, failed: 0 } })
  expect(batch.errors?.object).toBe('list')
  expect(batch.errors?.data?.map(({ code, param, line: number }) => [code, param, number])).toEqual(expected)
  expect(batch.failed_at).toBeGreaterThanOrEqual(batch.created_at)
  expect(model.requests).toHaveLength(numBefore)
})

test('what only its own route can refuse is an error record: a body nested deep, a body over the limit of bodies', async () => {
  const deep = `{"custom_id":"deep","method":"POST","url":"${CHAT}","body":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`
  const long = JSON.stringify(line('long', { user: 'x'.repeat(5 * 2 ** 20) }))
  const batch = await ended((await create([deep, long, JSON.stringify(line('good'))].join('\n'))).id)
  expect(batch.request_counts).toEqual({ total: 3, completed: 1, failed: 2 })
  const errors = await linesOf(batch.error_file_id)
  expect(errors.map(({ custom_id, response }) => [custom_id, response?.status_code])).toEqual([
    ['deep', 400],
    ['long', 413],
  ])
})

test('bytes that are not UTF-8 fail the batch, with the line', async () => {
  const bytes = Buffer.concat([Buffer.from(`${JSON.stringify(line('a'))}\n`), Buffer.from([0xff, 0xfe, 0x0a])])
  const file = await client.files.create({ file: await toFile(bytes, 'in.jsonl'), purpose: 'batch' })
  const { id } = await client.batches.create({ input_file_id: file.id, endpoint: CHAT, completion_window: '24h' })
  expect((await ended(id)).errors?.data).toMatchObject([{ code: 'invalid_json_line', line: 2 }])
})

test('a cancelled batch keeps what was done and marks the rest; to cancel it again changes nothing', async () => {
  model.script = (request, signal) => (JSON.stringify(request).includes('I am r2"') ? HELLO(request, signal) : sayNothing(request, signal))
  const { id } = await create(jsonl(many(60)))
  await until(id, ({ request_counts }) => request_counts?.completed === 1)
  const cancelling = await client.batches.cancel(id)
  expect(['cancelling', 'cancelled']).toContain(cancelling.status)
  expect(cancelling.cancelling_at).toBeGreaterThanOrEqual(cancelling.created_at)
  await client.batches.cancel(id)
  const batch = await ended(id)
  expect(batch).toMatchObject({ status: 'cancelled', request_counts: { total: 60, completed: 1, failed: 59 } })
  expect(batch.cancelled_at).toBeGreaterThanOrEqual(batch.cancelling_at ?? Number.POSITIVE_INFINITY)
  expect((await linesOf(batch.output_file_id)).map(({ custom_id }) => custom_id)).toEqual(['r2'])
  const rest = await linesOf(batch.error_file_id)
  expect(rest.map(({ custom_id }) => custom_id)).toEqual(
    many(60)
      .map((_, index) => `r${index}`)
      .filter((name) => name !== 'r2'),
  )
  expect(rest.every(({ response, error }) => response === null && error?.code === 'batch_cancelled')).toBe(true)
  expect(await client.batches.cancel(id)).toEqual(batch)
  expect(model.numRunning).toBe(0)
})

test('a batch that waits for its turn is cancelled without having been looked at', async () => {
  model.script = sayNothing
  // Two batches of a team run at a time.
  const [one, two, three] = [await create(jsonl([line('a')])), await create(jsonl([line('b')])), await create(jsonl([line('c')]))]
  while (model.numRunning < 2) await new Promise((resolve) => setTimeout(resolve, 10))
  expect((await client.batches.retrieve(three.id)).status).toBe('validating')
  await client.batches.cancel(three.id)
  const batch = await ended(three.id)
  expect(batch).toMatchObject({
    status: 'cancelled',
    in_progress_at: null,
    output_file_id: null,
    request_counts: { total: 0, completed: 0, failed: 0 },
  })
  for (const { id } of [one, two]) await client.batches.cancel(id)
  for (const { id } of [one, two]) expect((await ended(id)).request_counts).toEqual({ total: 1, completed: 0, failed: 1 })
  expect(model.numRunning).toBe(0)
})

test('when the input file is deleted before it was read, the batch says so', async () => {
  model.script = sayNothing
  const running = [await create(jsonl([line('a')])), await create(jsonl([line('b')]))]
  while (model.numRunning < 2) await new Promise((resolve) => setTimeout(resolve, 10))
  const waiting = await create(jsonl([line('gone')]))
  await client.files.delete(waiting.input_file_id)
  for (const { id } of running) await client.batches.cancel(id)
  const batch = await ended(waiting.id)
  expect([batch.status, batch.errors?.data?.map(({ code }) => code)]).toEqual(['failed', ['input_not_found']])
})

test('to cancel a completed batch changes nothing', async () => {
  const { id } = await create(jsonl([line('a')]))
  const batch = await ended(id)
  expect(await client.batches.cancel(id)).toEqual(batch)
})

test('batches are listed with the newest first, page by page', async () => {
  const made: string[] = []
  for (const customId of ['a', 'b', 'c']) made.push((await create(jsonl([line(customId)]))).id)
  const listed: string[] = []
  for await (const { id } of client.batches.list({ limit: 2 })) listed.push(id)
  expect(listed.slice(0, 3)).toEqual(made.toReversed())
  expect(new Set(listed).size).toBe(listed.length)
  expect(await rejection(client.batches.list({ after: 'batch_no' }))).toMatchObject({ status: 404 })
})

test('one idempotency key makes one batch, and another order under it is refused', async () => {
  const file = await client.files.create({ file: await toFile(Buffer.from(jsonl([line('a')])), 'in.jsonl'), purpose: 'batch' })
  const order = { input_file_id: file.id, endpoint: CHAT, completion_window: '24h' } as const
  const headers = { 'idempotency-key': 'once' }
  const [first, second] = await Promise.all([client.batches.create(order, { headers }), client.batches.create(order, { headers })])
  expect(second?.id).toBe(first?.id)
  expect(await rejection(client.batches.create({ ...order, metadata: { a: 'b' } }, { headers }))).toMatchObject({ status: 409 })
})

test.each([
  [{ input_file_id: 'file-no' }, 400, 'input_file_id'],
  [{ endpoint: '/v1/moderations' }, 400, 'endpoint'],
  [{ endpoint: '/v1/nothing' }, 400, 'endpoint'],
  [{ completion_window: '48h' }, 400, 'completion_window'],
  [{ output_expires_after: { anchor: 'created_at', seconds: 1 } }, 400, 'output_expires_after.seconds'],
  [{ metadata: { a: 1 } }, 400, 'metadata.a'],
  [{ priority: 'high' }, 400, 'priority'],
])('an order with %j is refused', async (change, status, param) => {
  const file = await client.files.create({ file: await toFile(Buffer.from('x'), 'in.jsonl'), purpose: 'batch' })
  const order = { input_file_id: file.id, endpoint: CHAT, completion_window: '24h', ...change } as BatchCreateParams
  expect(await rejection(client.batches.create(order))).toMatchObject({ status, param })
})

test('a file of another purpose, an unknown batch', async () => {
  const file = await client.files.create({ file: await toFile(Buffer.from('x'), 'in.jsonl'), purpose: 'user_data' })
  expect(await rejection(client.batches.create({ input_file_id: file.id, endpoint: CHAT, completion_window: '24h' }))).toMatchObject({
    param: 'input_file_id',
  })
  for (const attempt of [client.batches.retrieve('batch_no'), client.batches.cancel('batch_no')]) {
    expect(await rejection(attempt)).toMatchObject({ status: 404, code: 'not_found' })
  }
})
