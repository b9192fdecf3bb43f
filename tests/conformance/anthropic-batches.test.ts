/** Message batches with the official Anthropic client, on the real desk. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import Anthropic from '@anthropic-ai/sdk'
import type { BatchCreateParams, MessageBatch, MessageBatchIndividualResponse } from '@anthropic-ai/sdk/resources/messages/batches'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type ComposedServer, startComposedServer } from './composed-server.ts'
import { FakeModel, type Script, sayNothing, sayWords } from './fake-model.ts'
import { rejection } from './openai-suite.ts'

const YAML = `
prices:
  fake/model: { input: 2, output: 4, batch: 0.5, tiers: { flex: 1 } }
`
const HELLO: Script = sayWords(['Hello', ' there'])

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-message-batches-'))
const model = new FakeModel()
let server: ComposedServer
let client: Anthropic

beforeAll(async () => {
  server = await startComposedServer(YAML, [model], { dataDir: folder })
  client = new Anthropic({ baseURL: server.url, apiKey: 'unused', maxRetries: 0 })
})

beforeEach(() => {
  model.script = HELLO
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

type Request = BatchCreateParams.Request

const request = (customId: string, more: object = {}): Request => ({
  custom_id: customId,
  params: { model: 'fake/model', max_tokens: 64, messages: [{ role: 'user', content: `I am ${customId}.` }], ...more },
})

const create = (requests: readonly Request[]): Promise<MessageBatch> => client.messages.batches.create({ requests: [...requests] })
const many = (count: number): Request[] => Array.from({ length: count }, (_, index) => request(`r${index}`))

async function ended(id: string): Promise<MessageBatch> {
  for (;;) {
    const batch = await client.messages.batches.retrieve(id)
    if (batch.processing_status === 'ended') return batch
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const resultsOf = async (id: string): Promise<MessageBatchIndividualResponse[]> => Array.fromAsync(await client.messages.batches.results(id))

test('a batch runs to results in the order of its requests, and costs half', async () => {
  const made = await create([request('a'), request('b', { max_tokens: -1 }), request('c', { stream: true }), request('d')])
  expect(made).toMatchObject({
    type: 'message_batch',
    processing_status: 'in_progress',
    request_counts: { processing: 4, succeeded: 0, errored: 0, canceled: 0, expired: 0 },
    ended_at: null,
    results_url: null,
    archived_at: null,
    cancel_initiated_at: null,
  })
  expect(made.id).toMatch(/^msgbatch_/)
  expect(Date.parse(made.expires_at) - Date.parse(made.created_at)).toBe(86_400_000)
  const batch = await ended(made.id)
  expect(batch.request_counts).toEqual({ processing: 0, succeeded: 2, errored: 2, canceled: 0, expired: 0 })
  expect(batch.results_url).toBe(`${server.url}/v1/messages/batches/${made.id}/results`)
  const results = await resultsOf(made.id)
  expect(results.map(({ custom_id, result }) => [custom_id, result.type])).toEqual([
    ['a', 'succeeded'],
    ['b', 'errored'],
    ['c', 'errored'],
    ['d', 'succeeded'],
  ])
  const [first, second, third] = results.map(({ result }) => result)
  expect(first).toMatchObject({
    message: { type: 'message', role: 'assistant', content: [{ type: 'text', text: 'Hello there' }], usage: { service_tier: 'batch' } },
  })
  expect(second).toMatchObject({ error: { type: 'error', error: { type: 'invalid_request_error' } } })
  expect(third).toMatchObject({ error: { error: { type: 'invalid_request_error' } } })
  expect((await server.ledger('fake/model')).costUsd).toBe('0.000022')
})

test('a canceled batch keeps what was done and marks the rest; to cancel it again changes nothing', async () => {
  model.script = (asked, signal) => (JSON.stringify(asked).includes('I am r2.') ? HELLO(asked, signal) : sayNothing(asked, signal))
  const { id } = await create(many(40))
  while (model.numRunning < 10) await new Promise((resolve) => setTimeout(resolve, 10))
  const canceling = await client.messages.batches.cancel(id)
  expect(canceling.cancel_initiated_at).not.toBe(null)
  await client.messages.batches.cancel(id)
  const batch = await ended(id)
  expect(batch.request_counts).toEqual({ processing: 0, succeeded: 1, errored: 0, canceled: 39, expired: 0 })
  const results = await resultsOf(id)
  expect(results.map(({ custom_id }) => custom_id)).toEqual(many(40).map(({ custom_id }) => custom_id))
  expect(results.map(({ result }) => result.type)).toEqual(many(40).map(({ custom_id }) => (custom_id === 'r2' ? 'succeeded' : 'canceled')))
  expect(await client.messages.batches.cancel(id)).toEqual(batch)
})

test('batches are listed in pages of both directions', async () => {
  const made: string[] = []
  for (const customId of ['a', 'b', 'c', 'd']) made.push((await create([request(customId)])).id)
  for (const id of made) await ended(id)
  const newest = made.toReversed()
  const listed: string[] = []
  for await (const { id } of client.messages.batches.list({ limit: 3 })) listed.push(id)
  expect(listed.slice(0, 4)).toEqual(newest)
  expect(new Set(listed).size).toBe(listed.length)
  const before = await client.messages.batches.list({ before_id: newest[3]!, limit: 2 })
  expect([before.data.map(({ id }) => id), before.has_more]).toEqual([newest.slice(1, 3), true])
  const ends = await client.messages.batches.list({ before_id: newest[1]!, limit: 2 })
  expect([ends.data.map(({ id }) => id), ends.has_more]).toEqual([newest.slice(0, 1), false])
})

test('an ended batch is deleted with its requests and results; one that runs is not', async () => {
  const numFiles = (): number => readdirSync(path.join(folder, 'files')).length
  const before = numFiles()
  model.script = sayNothing
  const { id } = await create([request('only-here')])
  expect(await rejection(client.messages.batches.delete(id))).toMatchObject({ status: 409 })
  await client.messages.batches.cancel(id)
  await ended(id)
  expect(numFiles()).toBeGreaterThan(before)
  expect(await client.messages.batches.delete(id)).toEqual({ id, type: 'message_batch_deleted' })
  expect(numFiles()).toBe(before)
  expect(await rejection(client.messages.batches.retrieve(id))).toMatchObject({ status: 404 })
})

test('a body that is larger than any other is read as it comes', async () => {
  const text = 'word '.repeat(200)
  const requests = Array.from({ length: 8000 }, (_, index) => request(`r${index}`, { messages: [{ role: 'user', content: text }] }))
  const { id, request_counts } = await create(requests)
  expect(request_counts.processing).toBe(8000)
  await client.messages.batches.cancel(id)
  await ended(id)
})

test.each([
  ['no requests', { requests: [] }, 400],
  ['no list', {}, 400],
  ['an unknown field', { requests: [request('a')], model: 'fake/model' }, 400],
  ['a custom_id that comes twice', { requests: [request('a'), request('b'), request('a')] }, 400],
  ['a custom_id with other letters', { requests: [request('ä b')] }, 400],
  ['a custom_id that is too long', { requests: [request('x'.repeat(65))] }, 400],
  ['no params', { requests: [{ custom_id: 'a' }] }, 400],
  ['an unknown field of a request', { requests: [{ ...request('a'), url: '/v1/messages' }] }, 400],
  ['a request that is too long', { requests: [request('a', { system: 'x'.repeat(9 * 2 ** 20) })] }, 413],
])('%s: refused, and nothing is left behind', async (_name, body, status) => {
  const before = readdirSync(path.join(folder, 'files')).length
  const error = await rejection(client.messages.batches.create(body as unknown as BatchCreateParams))
  expect(error).toMatchObject({ status })
  expect(readdirSync(path.join(folder, 'files'))).toHaveLength(before)
})

test('a batch of the other dialect, and results before their time, are not there', async () => {
  model.script = sayNothing
  const { id } = await create([request('a')])
  const answer = await fetch(`${server.url}/v1/batches/${id}`)
  expect(answer.status).toBe(404)
  const early = await fetch(`${server.url}/v1/messages/batches/${id}/results`)
  expect(early.status).toBe(400)
  await client.messages.batches.cancel(id)
  await ended(id)
})
