/** One invocation from its input to the object with what came of it, at every point where an attempt can end. */
import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { InferdError, toErrorRecord } from '#contract/errors'
import type { Job, RunWireCall, WireAnswer, WireCall } from '#contract/job'
import { MemoryObjects } from '../../../tests/invocations/memory-objects.ts'
import { jobOf, ScriptedLease } from '../../../tests/invocations/scripted-jobs.ts'
import { InvocationHandler } from './invocation-handler.ts'

const OUTPUT = 'async/output/inv-1.out'
const FAILURE = 'async/failed/inv-1.error'
const INPUT = 'in/7.json'
const CANCELLED = new InferdError('cancelled', 'the job was cancelled')

function answerOf(status: number, body: object, headers: Record<string, string> = {}): WireAnswer {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: Buffer.from(JSON.stringify(body)) }
}

const DONE = answerOf(200, { text: 'fox' })

function scene(answers: readonly (WireAnswer | InferdError)[] | RunWireCall = [DONE]) {
  const clock = new FakeClock()
  const stores = new MemoryObjects()
  const bucket = stores.bucket('inferd-local')
  bucket.objects.set(INPUT, { bytes: Buffer.from('{"inputs":"x"}'), meta: { key: INPUT, numBytes: 14, contentType: '', etag: '', modifiedMs: 0 } })
  const calls: WireCall[] = []
  const told: Job[] = []
  const figures: string[] = []
  const script: RunWireCall = async (call, signal) => {
    calls.push(call)
    if (typeof answers === 'function') return answers(call, signal)
    const answer = answers[Math.min(calls.length, answers.length) - 1]!
    if (answer instanceof InferdError) throw answer
    return answer
  }
  const handler = new InvocationHandler({
    runCall: script,
    stores,
    clock,
    termsOf: (_team, endpoint) => ({
      outputLocation: null,
      failureLocation: null,
      maxConcurrentInvocations: endpoint === 'chat' ? 3 : 1,
      successTopics: [],
      errorTopics: [],
      includeResponseIn: [],
    }),
    maxRunning: 8,
    maxCallBytes: 1024,
    tell: async (job) => void told.push(job),
    metrics: {
      onStart: (endpoint, waitedMs) => figures.push(`start ${endpoint} ${waitedMs}`),
      onStop: (endpoint, ranMs) => figures.push(`stop ${endpoint} ${ranMs}`),
      onEnd: (endpoint, outcome) => figures.push(`${outcome} ${endpoint}`),
    },
  })
  const lease = new ScriptedLease()
  return { clock, stores, bucket, calls, told, figures, handler, lease, failure: () => JSON.parse(bucket.text(FAILURE) ?? 'null') as unknown }
}

test('the call is the one that POST .../invocations would be, and its answer is the output object', async () => {
  const { handler, lease, bucket, calls, told } = scene()
  const job = jobOf()
  expect(await handler.run(job, lease)).toEqual({
    state: 'succeeded',
    counts: { total: 1, succeeded: 1, failed: 0 },
    result: { output: 's3://inferd-local/async/output/inv-1.out', contentType: 'application/json' },
    error: null,
  })
  expect(calls).toHaveLength(1)
  expect(calls[0]).toMatchObject({ method: 'POST', path: '/endpoints/chat/invocations', isBatch: false, principal: job.principal })
  expect(calls[0]!.headers).toEqual({ 'content-type': 'application/json', 'x-amzn-sagemaker-custom-attributes': 'a=1' })
  expect(Buffer.from(calls[0]!.body).toString()).toBe('{"inputs":"x"}')
  expect(bucket.text(OUTPUT)).toBe('{"text":"fox"}')
  expect(bucket.objects.has(FAILURE)).toBe(false)
  expect(bucket.objects.has(INPUT)).toBe(true)
  expect(told).toEqual([job])
  expect([handler.maxRunningIn('chat'), handler.maxRunningIn('other')]).toEqual([3, 1])
})

test('a payload that came with the order goes once the output is there and the telling is written', async () => {
  const { handler, lease, bucket, told } = scene()
  bucket.before = (operation) => void (operation === 'delete' && expect([bucket.objects.has(OUTPUT), told.length]).toEqual([true, 1]))
  await handler.run(jobOf({}, { ownsInput: true }), lease)
  expect(bucket.log.at(-1)).toBe(`delete ${INPUT}`)
})

test.each<[string, WireAnswer, string, RegExp]>([
  [
    'a body that the model refuses',
    answerOf(424, { OriginalStatusCode: 400, Message: 'Received client error (400) from the model: no' }),
    'invalid_parameter',
    /client error \(400\)/,
  ],
  ['an endpoint that is gone', answerOf(400, { Message: 'the model does not exist' }), 'invalid_parameter', /does not exist/],
  ['money that is spent', answerOf(403, { Message: 'the budget is spent' }), 'forbidden', /budget/],
  ['a content type that no model takes', answerOf(415, { OriginalStatusCode: 415, Message: 'csv' }), 'unsupported_media_type', /csv/],
  ['a model that is too slow for the server', answerOf(424, { OriginalStatusCode: 504, Message: 'late' }), 'deadline_exceeded', /late/],
])('what will always fail is a failure object at the first attempt: %s', async (_name, answer, code, words) => {
  const { handler, lease, bucket, failure, told } = scene([answer])
  const ending = await handler.run(jobOf(), lease)
  expect(ending).toMatchObject({ state: 'failed', counts: { total: 1, succeeded: 0, failed: 1 }, error: { code } })
  expect(ending.result).toEqual({ failure: 's3://inferd-local/async/failed/inv-1.error' })
  expect(failure()).toEqual({ InferenceId: 'order-7', ErrorCode: code, Message: expect.stringMatching(words) as string })
  expect(bucket.objects.has(OUTPUT)).toBe(false)
  expect(told).toHaveLength(1)
})

test.each([
  ['a worker that died', answerOf(424, { OriginalStatusCode: 500, Message: 'the worker died' }), 'replica_lost'],
  ['an upstream', answerOf(424, { OriginalStatusCode: 502, Message: 'gone' }), 'upstream_failed'],
  ['a bug', answerOf(500, { Message: 'internal error' }), 'replica_lost'],
  ['the store', answerOf(530, { Message: 'the store' }), 'store_failed'],
])('what another attempt may heal is thrown, and nothing is shown: %s', async (_name, answer, code) => {
  const { handler, lease, bucket, told } = scene([answer])
  await expect(handler.run(jobOf(), lease)).rejects.toMatchObject({ code })
  expect([...bucket.objects.keys()]).toEqual([INPUT])
  expect(told).toEqual([])
})

test('without a place it waits as long as the answer says, within its time to live, and then runs', async () => {
  const busy = answerOf(503, { Message: 'the queue is full' }, { 'retry-after': '7' })
  const { handler, lease, clock, calls, figures } = scene([busy, answerOf(429, { Message: 'the model loads' }), DONE])
  const running = handler.run(jobOf(), lease)
  await settle()
  expect(calls).toHaveLength(1)
  await clock.advance(6_999)
  expect(calls).toHaveLength(1)
  await clock.advance(1)
  expect(calls).toHaveLength(2)
  await clock.advance(2_000)
  expect(await running).toMatchObject({ state: 'succeeded' })
  expect(calls).toHaveLength(3)
  expect(figures).toEqual(['start chat 0', 'succeeded chat', 'stop chat 9000'])
})

test('a place that comes too late is none: the failure says that it expired, and the model was never asked more', async () => {
  const { handler, lease, clock, calls, failure } = scene([answerOf(503, {}, { 'retry-after': '40' })])
  const running = handler.run(jobOf(), lease)
  await settle()
  await clock.advance(30_000)
  expect(await running).toMatchObject({
    state: 'failed',
    error: { code: 'deadline_exceeded', message: expect.stringContaining('time to live') as string },
  })
  expect(calls).toHaveLength(2)
  expect(failure()).toMatchObject({ ErrorCode: 'deadline_exceeded' })
})

test('a call that takes longer than its time-out is given up, and that is its end', async () => {
  let wasAborted = false
  const hang: RunWireCall = (_call, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        wasAborted = true
        reject(signal.reason as Error)
      })
    })
  const { handler, lease, clock } = scene(hang)
  const running = handler.run(jobOf({}, { timeoutMs: 5_000 }), lease)
  await settle()
  await clock.advance(5_000)
  expect(await running).toMatchObject({ state: 'failed', error: { code: 'deadline_exceeded', message: 'the invocation took longer than 5 s' } })
  expect(wasAborted).toBe(true)
  expect(clock.numSleepers).toBe(0)
})

test('a cancelled call ends at once and shows nothing; its end is told by abandon', async () => {
  const hang: RunWireCall = (_call, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  const { handler, lease, bucket, failure, told } = scene(hang)
  const job = jobOf()
  const running = handler.run(job, lease)
  await settle()
  lease.controller.abort(CANCELLED)
  await expect(running).rejects.toBe(CANCELLED)
  expect([...bucket.objects.keys()]).toEqual([INPUT])
  expect(await handler.abandon(job, toErrorRecord(CANCELLED), lease.records)).toEqual({ failure: 's3://inferd-local/async/failed/inv-1.error' })
  expect(failure()).toEqual({ InferenceId: 'order-7', ErrorCode: 'cancelled', Message: 'the job was cancelled' })
  expect(told).toEqual([job])
})

test('a result that is there when its job is cancelled stays the only thing that is there', async () => {
  const { handler, lease, bucket } = scene()
  const job = jobOf()
  await handler.run(job, lease)
  const result = await handler.abandon(job, toErrorRecord(CANCELLED), lease.records)
  expect(result).toEqual({ output: 's3://inferd-local/async/output/inv-1.out', contentType: 'application/json' })
  expect(bucket.objects.has(FAILURE)).toBe(false)
})

test.each(['output', 'failure'])('a second attempt finds the %s of the first and does not run again', async (kind) => {
  const { handler, lease, calls } = scene([kind === 'output' ? DONE : answerOf(415, { OriginalStatusCode: 415, Message: 'csv' })])
  const first = await handler.run(jobOf({}, { ownsInput: true }), lease)
  const again = await handler.run(jobOf({ attempt: 2 }, { ownsInput: true }), lease)
  expect(again).toEqual(first)
  expect(calls).toHaveLength(1)
})

test('of two attempts that both have an answer the first stays', async () => {
  const { handler, lease, bucket } = scene([DONE, answerOf(200, { text: 'other' })])
  await handler.run(jobOf(), lease)
  bucket.before = (operation, key) => {
    if (operation === 'head' && key === OUTPUT) bucket.objects.delete(key)
    if (operation === 'put')
      bucket.objects.set(OUTPUT, { bytes: Buffer.from('first'), meta: { key: OUTPUT, numBytes: 5, contentType: '', etag: '', modifiedMs: 0 } })
  }
  expect(await handler.run(jobOf({ attempt: 2 }), lease)).toMatchObject({ state: 'succeeded' })
  expect(bucket.text(OUTPUT)).toBe('first')
})

test('an attempt that wakes up behind the end of its invocation shows nothing more', async () => {
  const held = Promise.withResolvers<WireAnswer>()
  const { handler, lease, bucket } = scene(() => held.promise)
  const first = handler.run(jobOf(), lease)
  await settle()
  await handler.abandon(jobOf({ attempt: 2 }), toErrorRecord(new InferdError('replica_lost', 'the server died at every attempt')), lease.records)
  held.resolve(DONE)
  await expect(first).rejects.toMatchObject({ code: 'conflict' })
  expect([...bucket.objects.keys()]).toEqual([INPUT, FAILURE])
})

test('an output of a name that somebody else has is not written over: the invocation fails by its words', async () => {
  const { handler, lease, bucket, calls } = scene()
  const foreign = { bytes: Buffer.from('mine'), meta: { key: 'async/output/a.json', numBytes: 4, contentType: '', etag: '', modifiedMs: 0 } }
  bucket.objects.set('async/output/a.json', foreign)
  const ending = await handler.run(jobOf({}, { outputName: 'a.json' }), lease)
  expect(ending).toMatchObject({
    state: 'failed',
    error: { code: 'conflict', message: 'there is already an object at s3://inferd-local/async/output/a.json' },
  })
  expect(bucket.text('async/output/a.json')).toBe('mine')
  expect(calls).toEqual([])
})

test('an output of a name that an attempt has found free is its own at the next', async () => {
  const { handler, lease, bucket, calls } = scene()
  await handler.run(jobOf({}, { outputName: 'a.json' }), lease)
  expect(await handler.run(jobOf({ attempt: 2 }, { outputName: 'a.json' }), lease)).toMatchObject({ state: 'succeeded' })
  expect(calls).toHaveLength(1)
  expect(bucket.text('async/output/a.json')).toBe('{"text":"fox"}')
})

test('an input that is not there, or larger than a call, is a failure; a bucket that does not answer is not', async () => {
  const gone = scene()
  gone.bucket.objects.delete(INPUT)
  expect(await gone.handler.run(jobOf(), gone.lease)).toMatchObject({ state: 'failed', error: { code: 'resource_not_found' } })
  const large = scene()
  large.bucket.objects.set(INPUT, { bytes: Buffer.alloc(2000), meta: { key: INPUT, numBytes: 2000, contentType: '', etag: '', modifiedMs: 0 } })
  expect(await large.handler.run(jobOf(), large.lease)).toMatchObject({ state: 'failed', error: { code: 'payload_too_large' } })
  expect(large.bucket.log).not.toContain(`read ${INPUT}`)
  const silent = scene()
  silent.bucket.before = () => {
    throw new InferdError('store_failed', 'the bucket does not answer')
  }
  await expect(silent.handler.run(jobOf(), silent.lease)).rejects.toMatchObject({ code: 'store_failed' })
})

test('what has nowhere to be shown ends without: its bucket is gone', async () => {
  const { handler, lease, told } = scene()
  const job = jobOf({}, { outputFolder: 's3://gone/x', failureFolder: 's3://gone/x' })
  await expect(handler.run(job, lease)).rejects.toMatchObject({ code: 'resource_not_found' })
  expect(await handler.abandon(job, toErrorRecord(CANCELLED), lease.records)).toBeNull()
  expect(told).toEqual([job])
})
