/** Calls of an endpoint by the clients of several dialects, as they are captured: what was sent and what the caller got, byte for byte. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Anthropic from '@anthropic-ai/sdk'
import { InvokeEndpointCommand, InvokeEndpointWithResponseStreamCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime'
import OpenAI from 'openai'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { CaptureTerms } from '#contract/capture'
import { InferdError } from '#contract/errors'
import { EndpointCaptures } from '#platform/capture/call-captures'
import { samplePlace } from '#platform/capture/sample'
import { type ComposedServer, startComposedServer } from './composed-server.ts'
import { FakeModel, sayWords } from './fake-model.ts'

const JSON_TYPE = 'application/json'
const MESSAGES = [{ role: 'user' as const, content: 'Hi' }]
const CALL = JSON.stringify({ model: 'chat', messages: MESSAGES })
const STREAM = JSON.stringify({ model: 'chat', messages: MESSAGES, stream: true })
const TERMS: CaptureTerms = {
  isEnabled: true,
  percent: 100,
  team: 'local',
  uri: 's3://inferd-local/captured',
  input: true,
  output: true,
  csvTypes: [],
  jsonTypes: [JSON_TYPE, 'text/event-stream'],
}

interface Body {
  readonly observedContentType: string
  readonly data: string
  readonly encoding: string
  readonly truncated?: true
}

interface Captured {
  readonly captureData: { readonly endpointInput: Body; readonly endpointOutput: Body }
  readonly eventMetadata: { readonly eventId: string; readonly inferenceId?: string }
}

let folder: string
let server: ComposedServer
let captures: EndpointCaptures
let model: FakeModel

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'inferd-capture-'))
  model = new FakeModel({ name: 'chat/main@1' })
  const models = [model, new FakeModel({ name: 'other' })]
  server = await startComposedServer('routes: [{ name: chat, models: [{ model: chat/main@1 }] }]', models, { dataDir: folder })
  expect(server.captures).toBeInstanceOf(EndpointCaptures)
  captures = server.captures as EndpointCaptures
  capture(TERMS)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function capture(terms: CaptureTerms): void {
  captures.put('chat', [{ unit: 'chat/main@1', variant: 'main', terms }])
}

/** All that was written, by the request's id. The server is closed: it writes what waits. */
async function captured(): Promise<ReadonlyMap<string, Captured>> {
  await server[Symbol.asyncDispose]()
  const root = path.join(folder, 'objects', 'inferd-local')
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.jsonl'))
  for (const file of files) expect(file).toMatch(/^captured\/chat\/main\/\d{4}\/\d\d\/\d\d\/\d\d\/\d\d-\d\d-\d{3}-[0-9a-f-]{36}\.jsonl$/)
  const lines = files.flatMap((file) => readFileSync(path.join(root, file), 'utf8').trimEnd().split('\n'))
  const records = lines.map((line) => JSON.parse(line) as Captured)
  return new Map(records.map((record) => [record.eventMetadata.eventId, record]))
}

async function post(id: string, route: string, body: string, contentType = JSON_TYPE): Promise<string> {
  const headers = { 'content-type': contentType, 'x-request-id': id, authorization: 'Bearer very-secret', 'x-other': 'very-secret' }
  return (await fetch(`${server.url}${route}`, { method: 'POST', headers, body })).text()
}

const chat = (id: string, body = CALL): Promise<string> => post(id, '/v1/chat/completions', body)

test('calls by the clients of OpenAI and Anthropic, whole and as streams, are kept as they were on the wire', async () => {
  const wire = new Map<string, { readonly sent: string; readonly got: string }>()
  const recording: typeof fetch = async (url, init) => {
    const response = await fetch(url, init)
    const copy = response.clone()
    wire.set(response.headers.get('x-request-id')!, { sent: String(init?.body), got: await copy.text() })
    return response
  }
  const options = { apiKey: 'very-secret', fetch: recording, maxRetries: 0 }
  const openai = new OpenAI({ baseURL: `${server.url}/v1`, ...options })
  const anthropic = new Anthropic({ baseURL: server.url, ...options })
  await openai.chat.completions.create({ model: 'chat', messages: MESSAGES })
  for await (const _ of await openai.chat.completions.create({ model: 'chat', messages: MESSAGES, stream: true })) void _
  await openai.completions.create({ model: 'chat', prompt: ['Hi', 'Ho'] })
  await openai.embeddings.create({ model: 'chat', input: 'Hi', encoding_format: 'float' })
  await openai.responses.create({ model: 'chat', input: 'Hi' })
  await anthropic.messages.create({ model: 'chat', max_tokens: 8, messages: MESSAGES })
  for await (const _ of anthropic.messages.stream({ model: 'chat', max_tokens: 8, messages: MESSAGES })) void _
  expect(wire.size).toBe(7)
  const records = await captured()
  expect(records.size).toBe(7)
  for (const [id, { sent, got }] of wire) {
    const { endpointInput, endpointOutput } = records.get(id)!.captureData
    expect(endpointInput).toEqual({ observedContentType: JSON_TYPE, mode: 'INPUT', encoding: 'JSON', data: sent })
    expect(endpointOutput).toMatchObject({ mode: 'OUTPUT', encoding: 'JSON', data: got })
  }
  expect(JSON.stringify([...records])).not.toContain('very-secret')
})

test("invocations by SageMaker's client have the caller's own id; streams and asynchronous ones are kept as one body", async () => {
  const runtime = new SageMakerRuntimeClient({ endpoint: server.url, region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 's' } })
  const order = { EndpointName: 'chat', ContentType: JSON_TYPE }
  const whole = await runtime.send(new InvokeEndpointCommand({ ...order, InferenceId: 'whole', Body: JSON.stringify({ messages: MESSAGES }) }))
  const body = JSON.stringify({ messages: MESSAGES, stream: true })
  const streamed = await runtime.send(new InvokeEndpointWithResponseStreamCommand({ ...order, InferenceId: 'stream', Body: body }))
  let parts = ''
  for await (const part of streamed.Body ?? []) parts += Buffer.from(part.PayloadPart?.Bytes ?? []).toString()
  const accepted = JSON.parse(await post('async', '/endpoints/chat/async', JSON.stringify({ messages: MESSAGES, temperature: 0.5 }))) as {
    id: string
  }
  const statusOf = async (): Promise<string> => (await fetch(`${server.url}/async/${accepted.id}`)).text()
  const until = Date.now() + 10_000
  while (!(await statusOf()).includes('"state":"succeeded"') && Date.now() < until) await sleep(20)
  const records = [...(await captured()).values()]
  const recordOf = (id: string): Captured['captureData'] => records.find(({ eventMetadata }) => eventMetadata.inferenceId === id)!.captureData
  expect(recordOf('whole').endpointOutput.data).toBe(Buffer.from(whole.Body).toString())
  expect(recordOf('stream').endpointInput.data).toBe(body)
  expect(recordOf('stream').endpointOutput).toMatchObject({ observedContentType: 'text/event-stream; charset=utf-8', encoding: 'JSON', data: parts })
  expect(parts).toContain('data: ')
  expect(records.filter(({ captureData }) => captureData.endpointInput.data.includes('0.5'))).toHaveLength(1)
})

test('records of a batch are calls like any other', async () => {
  const openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any', maxRetries: 0 })
  const body = { model: 'chat', messages: MESSAGES }
  const lines = ['a', 'b', 'c'].map((id) => JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/chat/completions', body }))
  const file = await openai.files.create({ purpose: 'batch', file: new File([lines.join('\n')], 'b.jsonl') })
  const { id } = await openai.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' })
  const until = Date.now() + 10_000
  while ((await openai.batches.retrieve(id)).status !== 'completed' && Date.now() < until) await sleep(20)
  const records = [...(await captured()).values()]
  expect(records.map(({ captureData }) => JSON.parse(captureData.endpointInput.data) as unknown)).toEqual([body, body, body])
})

test('what was refused, failed before its answer or went to another model is not kept; a stream that broke is, as far as it came', async () => {
  await chat('refused', '{"model":"chat","messages":[]}')
  await chat('elsewhere', JSON.stringify({ model: 'other', messages: MESSAGES }))
  model.script = async function* () {
    yield* []
    throw new InferdError('overloaded', 'too much')
  }
  await chat('failed')
  await chat('failed-stream', STREAM)
  model.script = async function* (request, signal) {
    let numEvents = 0
    for await (const event of sayWords(['one', 'two', 'three'])(request, signal)) {
      if (++numEvents > 2) throw new InferdError('internal', 'broken')
      yield event
    }
  }
  const broken = await chat('broken-stream', STREAM)
  expect(broken).toMatch(/one[^]*error/)
  const records = await captured()
  expect([...records.keys()]).toEqual(['broken-stream'])
  expect(records.get('broken-stream')!.captureData.endpointOutput.data).toBe(broken)
})

test('a huge body is cut and counted, and bytes of no known kind are kept in Base64', async () => {
  const huge = JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: 'h'.repeat(3 * 2 ** 20) }] })
  expect(JSON.parse(await chat('huge', huge))).toHaveProperty('choices')
  const body = JSON.stringify({ messages: MESSAGES })
  // Bedrock's clients may label JSON as bytes.
  const answer = await post('octets', '/model/chat/invoke', body, 'application/octet-stream')
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  expect(metrics).toContain('inferd_capture_bodies_truncated_total{endpoint="chat",variant="main"} 1')
  expect(metrics).toMatch(/inferd_capture_held_bytes [1-9]/)
  const records = await captured()
  expect(records.get('huge')!.captureData.endpointInput).toMatchObject({ data: huge.slice(0, 2 ** 20), truncated: true })
  const { endpointInput, endpointOutput } = records.get('octets')!.captureData
  expect([endpointInput.encoding, Buffer.from(endpointInput.data, 'base64').toString()]).toEqual(['BASE64', body])
  expect(endpointOutput.data).toBe(answer)
})

test('a fifth of 500 calls is exactly those whose ids say so, and what is switched off is kept no more', async () => {
  capture({ ...TERMS, percent: 20 })
  const ids = Array.from({ length: 500 }, (_, index) => `s-${index}`)
  for (let start = 0; start < ids.length; start += 50) await Promise.all(ids.slice(start, start + 50).map((id) => chat(id)))
  capture({ ...TERMS, isEnabled: false })
  await chat('off')
  const wanted = ids.filter((id) => samplePlace(id) < 20)
  expect(wanted.length).toBeGreaterThan(70)
  expect([...(await captured()).keys()].toSorted()).toEqual(wanted.toSorted())
})
