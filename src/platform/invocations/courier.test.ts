/** Notifications: who is told what, when, how often, and what a crash leaves of it. */
import { createHmac } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import type { Job } from '#contract/job'
import { openStore, type Store } from '#platform/store/open-store'
import { MemoryObjects } from '../../../tests/invocations/memory-objects.ts'
import { jobOf } from '../../../tests/invocations/scripted-jobs.ts'
import type { EndpointTerms } from './async-terms.ts'
import { Courier, type DeliveryOutcome, type Post } from './courier.ts'

const ENDED = { state: 'succeeded', endedMs: 1_700_000_002_000, result: { contentType: 'application/json' } } as const
const ERROR = { code: 'invalid_parameter', message: 'no such field', param: null, retryAfterMs: null } as const
const SECRET = 'hook secret'

const stores: Store[] = []
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close()
})

interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly envelope: Record<string, string>
  readonly message: Record<string, unknown>
  readonly body: string
}

async function scene(terms: Partial<EndpointTerms> = { successTopics: ['done'], errorTopics: ['broken'] }, opened?: Store) {
  const store = opened ?? (await openStore({ file: null }))
  if (opened === undefined) stores.push(store)
  const clock = new FakeClock()
  const objects = new MemoryObjects()
  const jobs = new Map<string, Job>()
  const sent: Sent[] = []
  const outcomes: [string, DeliveryOutcome][] = []
  const errors: unknown[] = []
  const receiver = { answer: async (): Promise<void> => {} }
  const post: Post = async ({ url }, { headers, body }) => {
    const envelope = JSON.parse(body) as Record<string, string>
    sent.push({ url: url.href, headers, envelope, message: JSON.parse(envelope['Message']!) as Record<string, unknown>, body })
    await receiver.answer()
  }
  const courier = new Courier({
    store,
    desk: { get: async (_team, id) => jobs.get(id) ?? null },
    stores: objects,
    termsOf: () => ({
      outputLocation: null,
      failureLocation: null,
      maxConcurrentInvocations: 1,
      successTopics: [],
      errorTopics: [],
      includeResponseIn: [],
      ...terms,
    }),
    topics: ['done', 'broken'].map((name) => ({ name, url: new URL(`https://hooks.example/${name}`), secret: SECRET })),
    post,
    clock,
    random: new SeededRandom(1),
    onDelivery: (topic, outcome) => outcomes.push([topic, outcome]),
    onError: (error) => errors.push(error),
  })
  const stop = new AbortController()
  const running = courier.run(stop.signal)
  const end = async (): Promise<void> => {
    stop.abort(new InferdError('shutting_down', 'the server stops'))
    await clock.advance(60_000)
    await running
  }
  const count = async (): Promise<number> => (await store.db.selectFrom('notification').selectAll().execute()).length
  return { store, clock, objects, jobs, sent, outcomes, errors, receiver, courier, end, count }
}

/** Time passes in small steps: the store answers between them. */
async function pass(clock: FakeClock, durationMs: number, stepMs = 100): Promise<void> {
  for (let passed = 0; passed < durationMs; passed += stepMs) {
    await clock.advance(stepMs)
    for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await settle()
}

test('a result is told to the topic of successes: the message of SageMaker in the envelope of SNS, signed', async () => {
  const { courier, jobs, sent, clock, end, count } = await scene()
  const job = jobOf(ENDED)
  jobs.set(job.id, job)
  await courier.tell(job)
  await pass(clock, 300)
  expect(sent).toHaveLength(1)
  const [{ url, headers, envelope, message, body }] = sent as [Sent]
  expect(url).toBe('https://hooks.example/done')
  expect(envelope).toMatchObject({ Type: 'Notification', TopicArn: 'arn:aws:sns:local:000000000000:done', Timestamp: '2023-11-14T22:13:22.000Z' })
  expect(message).toEqual({
    awsRegion: 'local',
    eventTime: '2023-11-14T22:13:22.000Z',
    receivedTime: '2023-11-14T22:13:20.000Z',
    invocationStatus: 'Completed',
    requestParameters: {
      contentType: 'application/json',
      customAttributes: 'a=1',
      endpointName: 'chat',
      inputLocation: 's3://inferd-local/in/7.json',
    },
    responseParameters: { contentType: 'application/json', outputLocation: 's3://inferd-local/async/output/inv-1.out' },
    inferenceId: 'order-7',
    eventVersion: '1.0',
    eventSource: 'aws:sagemaker',
    eventName: 'InferenceResult',
  })
  const [, seconds, signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(headers['x-inferd-signature']!)!
  expect(createHmac('sha256', SECRET).update(`${seconds}.${body}`).digest('hex')).toBe(signature)
  expect(headers).toMatchObject({ 'x-amz-sns-message-type': 'Notification', 'x-amz-sns-message-id': envelope['MessageId']! })
  expect(await count()).toBe(0)
  await end()
})

test.each([
  ['failed', { state: 'failed', endedMs: 1, error: ERROR } as const, 'invalid_parameter: no such field'],
  [
    'cancelled',
    { state: 'cancelled', endedMs: 1, error: { ...ERROR, code: 'cancelled', message: 'it was cancelled' } } as const,
    'cancelled: it was cancelled',
  ],
  ['expired', { state: 'expired', endedMs: 1, error: { ...ERROR, code: 'deadline_exceeded', message: 'too old' } } as const, 'expired: too old'],
])('an end without a result is told to the topic of errors, with its reason: %s', async (_name, changes, failureReason) => {
  const { courier, jobs, sent, clock, end } = await scene()
  const job = jobOf(changes)
  jobs.set(job.id, job)
  await courier.tell(job)
  await pass(clock, 300)
  expect(sent.map(({ url }) => url)).toEqual(['https://hooks.example/broken'])
  expect(sent[0]!.message).toMatchObject({
    invocationStatus: 'Failed',
    failureReason,
    responseParameters: { failureLocation: 's3://inferd-local/async/failed/inv-1.error' },
  })
  await end()
})

test('nothing is told before the end is there for everybody to see', async () => {
  const { courier, jobs, sent, clock, end } = await scene()
  jobs.set('inv-1', jobOf())
  await courier.tell(jobOf())
  await pass(clock, 2_000)
  expect(sent).toEqual([])
  jobs.set('inv-1', jobOf(ENDED))
  await pass(clock, 300)
  expect(sent).toHaveLength(1)
  await end()
})

test('a receiver that fails three times gets the same event a fourth time, later each time, and then no more', async () => {
  const { courier, jobs, sent, clock, receiver, outcomes, end, count } = await scene()
  jobs.set('inv-1', jobOf(ENDED))
  let numCalls = 0
  const times: number[] = []
  receiver.answer = async () => {
    times.push(clock.nowMs())
    if (++numCalls <= 3) throw new InferdError('upstream_failed', 'the receiver answered 500')
  }
  await courier.tell(jobOf(ENDED))
  await pass(clock, 9_000)
  expect(outcomes).toEqual([
    ['done', 'failed'],
    ['done', 'failed'],
    ['done', 'failed'],
    ['done', 'delivered'],
  ])
  expect(new Set(sent.map(({ envelope }) => envelope['MessageId'])).size).toBe(1)
  const pauses = times.slice(1).map((time, index) => time - times[index]!)
  pauses.forEach((pause, index) => expect([pause >= 750 * 2 ** index, pause <= 1000 * 2 ** index + 200]).toEqual([true, true]))
  expect(await count()).toBe(0)
  await end()
})

test('one that never takes it is given up after its last attempt', async () => {
  const { courier, jobs, sent, clock, receiver, outcomes, end, count } = await scene()
  jobs.set('inv-1', jobOf(ENDED))
  receiver.answer = async () => {
    throw new InferdError('upstream_failed', 'the receiver cannot be reached')
  }
  await courier.tell(jobOf(ENDED))
  await pass(clock, 9_000_000, 30_000)
  expect(outcomes.at(-1)).toEqual(['done', 'given-up'])
  expect(sent).toHaveLength(16)
  expect(await count()).toBe(0)
  await end()
})

test('what was not delivered when the process died is delivered by the next one, as the same event', async () => {
  const first = await scene()
  first.jobs.set('inv-1', jobOf(ENDED))
  first.receiver.answer = async () => {
    throw new InferdError('upstream_failed', 'no')
  }
  await first.courier.tell(jobOf(ENDED))
  await pass(first.clock, 500)
  await first.end()
  const second = await scene(undefined, first.store)
  second.jobs.set('inv-1', jobOf(ENDED))
  // The clock of the second process is behind the first one's: nothing is due before it was.
  await pass(second.clock, 120_000, 1_000)
  expect(second.sent.map(({ envelope }) => envelope['MessageId'])).toEqual([first.sent[0]!.envelope['MessageId']])
  await second.end()
})

test('telling twice is telling once, and a job that is gone is told to nobody', async () => {
  const { courier, jobs, sent, clock, end, count } = await scene()
  jobs.set('inv-1', jobOf(ENDED))
  await courier.tell(jobOf(ENDED))
  await courier.tell(jobOf(ENDED))
  await courier.tell(jobOf({ ...ENDED, id: 'inv-2' }))
  await pass(clock, 300)
  expect(sent).toHaveLength(1)
  expect(await count()).toBe(0)
  await end()
})

test('a small response is told where that is wanted; a large one is left where it is', async () => {
  const { courier, jobs, sent, clock, objects, end } = await scene({ successTopics: ['done'], includeResponseIn: ['success'] })
  const bucket = objects.bucket('inferd-local')
  for (const [id, bytes] of [
    ['inv-1', Buffer.from('{"text":"fox"}')],
    ['inv-2', Buffer.alloc(131_073)],
  ] as const) {
    const key = `async/output/${id}.out`
    bucket.objects.set(key, { bytes, meta: { key, numBytes: bytes.length, contentType: '', etag: '', modifiedMs: 0 } })
    jobs.set(id, jobOf({ ...ENDED, id }))
    await courier.tell(jobOf({ id }))
  }
  await pass(clock, 300)
  const bodies = sent.map(({ message }) => message['responseBody'] ?? null)
  expect(bodies).toHaveLength(2)
  expect(bodies).toEqual(expect.arrayContaining([{ content: Buffer.from('{"text":"fox"}').toString('base64'), encoding: 'BASE64' }, null]))
  await end()
})

test('without topics nothing is written', async () => {
  const { courier, count, end } = await scene({})
  await courier.tell(jobOf(ENDED))
  expect(await count()).toBe(0)
  await end()
})
