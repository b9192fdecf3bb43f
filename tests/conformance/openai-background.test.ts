/** Responses in the background with the official client: they outlive their connection, and none is ever lost without a word. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type OpenAI from 'openai'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { DEFAULT_BACKGROUND_RUN_OPTIONS, DetachedRuns } from '#platform/context/background-runs'
import { StoredResponses } from '#platform/context/response-archive'
import { openStore, type Store } from '#platform/store/open-store'
import { NO_SERVICES } from '#server/services'
import { FakeModel, sayNothing, sayWords, speakForEver } from './fake-model.ts'
import { openAiClient, rejection } from './openai-suite.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const MODEL = 'fake/model'
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-background-'))
let open: { readonly target: TestServer; readonly store: Store; readonly runs: DetachedRuns } | null = null

async function start(model: FakeModel, file: string | null = null): Promise<OpenAI> {
  const store = await openStore({ file })
  const responses = new StoredResponses({ store, clock: systemClock, retentionMs: 86_400_000 })
  await responses.failUnfinished()
  const runs = new DetachedRuns({ ...DEFAULT_BACKGROUND_RUN_OPTIONS, maxRuns: 2, clock: systemClock })
  const target = await startTestServer({ model, services: { ...NO_SERVICES, responses, background: runs } })
  open = { target, store, runs }
  return openAiClient(target.url)
}

async function stop({ hard = false } = {}): Promise<void> {
  if (open === null) return
  const { target, store, runs } = open
  open = null
  await target.server.close({ graceMs: 0 })
  if (!hard) await runs.close()
  await store.close()
}

afterEach(() => stop())

async function untilEnded(client: OpenAI, id: string): Promise<OpenAI.Responses.Response> {
  for (let polls = 0; polls < 500; polls++) {
    const response = await client.responses.retrieve(id)
    if (response.status !== 'queued' && response.status !== 'in_progress') return response
    await delay(5)
  }
  throw new Error('the response does not end')
}

test('it is answered at once as queued, and its answer is there later', async () => {
  const client = await start(new FakeModel())
  const queued = await client.responses.create({ model: MODEL, input: 'hi', background: true })
  expect(queued).toMatchObject({ status: 'queued', background: true, output: [], usage: null })
  const ended = await untilEnded(client, queued.id)
  expect(ended).toMatchObject({ id: queued.id, status: 'completed', background: true, usage: { output_tokens: 4 } })
  const next = await client.responses.create({ model: MODEL, input: 'more', previous_response_id: queued.id })
  expect(next.previous_response_id).toBe(queued.id)
})

test('a stream that its reader left is followed again from any event, with the same events', async () => {
  const client = await start(new FakeModel({ script: sayWords(['a', 'b', 'c', 'd', 'e'], { waitMs: 10 }) }))
  const seen: string[] = []
  let id = ''
  for await (const event of await client.responses.create({ model: MODEL, input: 'hi', background: true, stream: true })) {
    if (event.type === 'response.created') id = event.response.id
    seen.push(JSON.stringify(event))
    if (event.type === 'response.output_text.delta') break
  }
  const rest: string[] = []
  const last = seen.length - 1
  for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: last })) rest.push(JSON.stringify(event))
  const again: string[] = []
  for await (const event of await client.responses.retrieve(id, { stream: true })) again.push(JSON.stringify(event))
  expect([...seen, ...rest]).toEqual(again)
  expect(again.map((text) => (JSON.parse(text) as { type: string }).type).slice(0, 3)).toEqual([
    'response.created',
    'response.queued',
    'response.in_progress',
  ])
  expect(JSON.parse(again.at(-1) ?? '')).toMatchObject({ type: 'response.completed', response: { status: 'completed' } })
  expect((await client.responses.retrieve(id)).output_text).toBe('abcde')
})

test('cancel ends the model, and is the end of it', async () => {
  const model = new FakeModel({ script: speakForEver(5) })
  const client = await start(model)
  const { id } = await client.responses.create({ model: MODEL, input: 'hi', background: true })
  while (model.numRunning === 0) await delay(1)
  expect(await client.responses.cancel(id)).toMatchObject({ id, status: 'cancelled', error: null })
  expect([model.numRunning, model.aborts.length]).toEqual([0, 1])
  expect(await client.responses.cancel(id)).toMatchObject({ status: 'cancelled' })
  expect(await rejection(client.responses.create({ model: MODEL, input: 'x', previous_response_id: id }))).toMatchObject({
    status: 400,
    param: 'previous_response_id',
  })
})

test('delete ends a run too', async () => {
  const model = new FakeModel({ script: sayNothing })
  const client = await start(model)
  const { id } = await client.responses.create({ model: MODEL, input: 'hi', background: true })
  await client.responses.delete(id)
  expect(model.numRunning).toBe(0)
  expect(await rejection(client.responses.retrieve(id))).toMatchObject({ status: 404 })
})

test('one more than may run is refused and leaves nothing behind', async () => {
  const client = await start(new FakeModel({ script: sayNothing }))
  const ask = (): Promise<OpenAI.Responses.Response> => client.responses.create({ model: MODEL, input: 'hi', background: true })
  await ask()
  await ask()
  expect(await rejection(ask())).toMatchObject({ status: 503, code: 'overloaded' })
})

test('a failure of the model is the end of the response, with its error', async () => {
  const error = { code: 'replica_lost' as const, message: 'the worker died', param: null, retryAfterMs: null }
  const model = new FakeModel({
    script: async function* () {
      yield {
        type: 'response-error',
        error,
        usage: { promptTokens: 0, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 0, reasoningTokens: 0 },
      }
    },
  })
  const client = await start(model)
  const { id } = await client.responses.create({ model: MODEL, input: 'hi', background: true })
  expect(await untilEnded(client, id)).toMatchObject({ status: 'failed', error: { code: 'server_error', message: 'the worker died' } })
})

test('one that a stop or a crash of the server cut short is failed, never lost', async () => {
  const file = path.join(folder, 'store.sqlite')
  const first = await start(new FakeModel({ script: sayNothing }), file)
  const stopped = await first.responses.create({ model: MODEL, input: 'hi', background: true })
  await stop()
  const second = await start(new FakeModel({ script: sayNothing }), file)
  expect(await second.responses.retrieve(stopped.id)).toMatchObject({ status: 'failed', error: { code: 'server_error' } })
  const crashed = await second.responses.create({ model: MODEL, input: 'hi', background: true })
  await stop({ hard: true })
  const third = await start(new FakeModel(), file)
  const found = await third.responses.retrieve(crashed.id)
  expect(found).toMatchObject({ status: 'failed', error: { message: 'the server was restarted before the response was finished' } })
  rmSync(folder, { recursive: true, force: true })
})

test('background without store, without an archive, and the stream of a response that has none are refused by name', async () => {
  const client = await start(new FakeModel())
  const request = { model: MODEL, input: 'hi', background: true }
  expect(await rejection(client.responses.create({ ...request, store: false }))).toMatchObject({ status: 400, param: 'background' })
  const plain = await client.responses.create({ model: MODEL, input: 'hi' })
  expect(await rejection(client.responses.retrieve(plain.id, { stream: true }))).toMatchObject({ status: 400, param: 'stream' })
  const bare = await startTestServer()
  const refused = await Promise.all(
    [{ background: true }, { store: true }, { previous_response_id: 'resp_1' }].map((fields) =>
      rejection(openAiClient(bare.url).responses.create({ model: MODEL, input: 'hi', ...fields })),
    ),
  )
  expect(refused.map((error) => (error as { param: string; code: string }).code)).toEqual(Array(3).fill('unsupported_parameter'))
  expect(await openAiClient(bare.url).responses.create({ model: MODEL, input: 'hi' })).toMatchObject({ store: false })
  await bare.server.close({ graceMs: 0 })
})
