/** A batch on the real desk and runner whose time is over: what was done is kept, the rest is marked, in the words of two dialects. */
import { afterEach, expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { randomId, SeededRandom } from '#base/random'
import { type BatchFormat, type BatchPlan, resultOf } from '#contract/batch'
import type { Job, JobOrder, RunWireCall } from '#contract/job'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { BatchHandler, DEFAULT_BATCH_LIMITS } from '#platform/batches/batch-handler'
import { StoredJobs } from '#platform/jobs/job-desk'
import { JobNews } from '#platform/jobs/job-news'
import { JobRunner } from '#platform/jobs/job-runner'
import { JobStore } from '#platform/store/job-store'
import { openStore } from '#platform/store/open-store'
import { encodeMessageBatch } from '#server/protocols/anthropic/message-batches/encode-batch'
import { anthropicBatchFormat } from '#server/protocols/anthropic/message-batches/lines'
import { encodeBatch } from '#server/protocols/openai/batches/encode-batch'
import { openaiBatchFormat } from '#server/protocols/openai/batches/lines'
import { FakeShelf } from './fake-batch.ts'

const TTL_MS = 100_000
const LOOK_MS = 500
const log = { info: () => {}, warn: () => {}, error: () => {} }

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** Only the record `done` is ever answered. */
const answerOne: RunWireCall = ({ body }, signal) => {
  const text = Buffer.from(body).toString()
  if (text.includes('done')) return Promise.resolve({ status: 200, headers: {}, body: Buffer.from('{"ok":true}') })
  return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))
}

async function runUntilExpired(format: BatchFormat, plan: Partial<BatchPlan>, input: string): Promise<{ job: Job; files: FakeShelf; live: Job }> {
  const store = await openStore({ file: null })
  closing.push(() => store.close())
  const clock = new FakeClock()
  const files = new FakeShelf(input)
  const random = new SeededRandom(1)
  const jobs = new JobStore(store.db)
  const news = new JobNews()
  const desk = new StoredJobs({ store: jobs, news, bounds: { maxWaiting: 10, maxWaitingPerTeam: 10 }, clock, newId: randomId })
  const { maxLineBytes, maxRecordMs, ...limits } = DEFAULT_BATCH_LIMITS
  const handler = new BatchHandler({
    formats: [format],
    caller: { runCall: answerOne, clock, random, maxRecordMs },
    input: { files, objects: null, maxLineBytes },
    ...limits,
  })
  const runner = new JobRunner({
    store: jobs,
    news,
    handlers: [handler],
    newHolderId: () => randomId('holder'),
    isGone: () => false,
    clock,
    random,
    log,
  })
  runner.start()
  closing.push(() => runner.drain(0))
  const spec: BatchPlan = {
    dialect: format.dialect,
    endpoint: '/v1/any',
    input: { kind: 'file', fileId: 'file-in' },
    output: { kind: 'files', expiresAfterS: null },
    numRecords: null,
    terms: {},
    ...plan,
  }
  const order = {
    kind: 'batch',
    principal: LOCAL_PRINCIPAL,
    spec: spec as unknown as JobOrder['spec'],
    labels: {},
    ttlMs: TTL_MS,
    idempotency: null,
  } as const
  const { id, team } = await desk.submit(order)
  const until = async (isThere: (job: Job) => boolean): Promise<Job> => {
    for (;;) {
      const job = await desk.get(team, id)
      if (job !== null && isThere(job)) return job
      for (let turns = 0; turns < 50; turns++) await settle()
      await clock.advance(LOOK_MS)
    }
  }
  const live = await until(({ counts }) => counts.succeeded === 1)
  return { live, job: await until(({ endedMs }) => endedMs !== null), files }
}

test("in OpenAI's words", async () => {
  const line = (name: string): object => ({ custom_id: name, method: 'POST', url: '/v1/any', body: { name } })
  const input = ['a', 'done', 'b'].map((name) => JSON.stringify(line(name))).join('\n')
  const { job, files, live } = await runUntilExpired(openaiBatchFormat, {}, input)
  expect(encodeBatch(live)).toMatchObject({ status: 'in_progress', request_counts: { total: 3, completed: 1, failed: 0 } })
  const batch = encodeBatch(job)
  expect(batch).toMatchObject({ status: 'expired', request_counts: { total: 3, completed: 1, failed: 2 }, completed_at: null, cancelled_at: null })
  expect(batch['expired_at']).toBeGreaterThanOrEqual(Number(batch['expires_at']))
  expect(files.textOf(resultOf(job)?.outputFileId)).toContain('"custom_id":"done","response":{"status_code":200')
  const rest = (files.textOf(resultOf(job)?.errorFileId) ?? '').trimEnd().split('\n')
  expect(rest.map((text) => JSON.parse(text) as unknown)).toMatchObject([
    { custom_id: 'a', response: null, error: { code: 'batch_expired' } },
    { custom_id: 'b', response: null, error: { code: 'batch_expired' } },
  ])
})

test("in Anthropic's words", async () => {
  const input = ['a', 'done', 'b'].map((name) => JSON.stringify({ custom_id: name, params: { name } })).join('\n')
  const { job, files, live } = await runUntilExpired(anthropicBatchFormat, { numRecords: 3 }, input)
  expect(encodeMessageBatch(live, '')).toMatchObject({ processing_status: 'in_progress', request_counts: { processing: 3, succeeded: 0 } })
  const counts = { processing: 0, succeeded: 1, errored: 0, canceled: 0, expired: 2 }
  expect(encodeMessageBatch(job, '')).toMatchObject({ processing_status: 'ended', request_counts: counts, cancel_initiated_at: null })
  const results = (files.textOf(resultOf(job)?.outputFileId) ?? '').trimEnd().split('\n')
  expect(results.map((text) => JSON.parse(text) as unknown)).toMatchObject([
    { custom_id: 'a', result: { type: 'expired' } },
    { custom_id: 'done', result: { type: 'succeeded' } },
    { custom_id: 'b', result: { type: 'expired' } },
  ])
})
