/** Orders of invocations: what is kept when they are accepted, and that nothing is when they are not. */
import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { InferdError } from '#contract/errors'
import type { InvocationOrder } from '#contract/invocation'
import type { Job, JobDesk, JobOrder } from '#contract/job'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { MemoryObjects } from '../../../tests/invocations/memory-objects.ts'
import { jobOf } from '../../../tests/invocations/scripted-jobs.ts'
import { InvocationDesk } from './invocation-desk.ts'
import { sweepPayloads } from './payloads.ts'

const SIGNAL = new AbortController().signal

async function* chunksOf(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

function orderOf(changes: Partial<InvocationOrder> = {}): InvocationOrder {
  return {
    principal: LOCAL_PRINCIPAL,
    endpoint: 'chat',
    input: { kind: 'object', uri: 's3://shared/in/7.json' },
    contentType: 'application/json',
    headers: { accept: '*/*', 'x-inferd-tier': 'flex' },
    inferenceId: null,
    outputFolder: null,
    outputName: null,
    startWithinMs: 60_000,
    timeoutMs: 10_000,
    ...changes,
  }
}

/** A desk that keeps the one law that orders lean on: a key of a team has one job. */
class OneJobPerKey {
  readonly orders: JobOrder[] = []
  readonly jobs = new Map<string, { readonly job: Job; readonly digest: string | null }>()
  failure: InferdError | null = null

  async submit(order: JobOrder): Promise<Job> {
    if (this.failure !== null) throw this.failure
    const key = `${order.principal.team} ${order.idempotency?.key ?? order.id}`
    const found = this.jobs.get(key)
    if (found !== undefined && found.digest !== order.idempotency?.digest) throw new InferdError('conflict', 'another request')
    if (found !== undefined) return found.job
    this.orders.push(order)
    const job = jobOf({ id: order.id!, spec: order.spec, state: 'queued', team: order.principal.team, principal: order.principal })
    this.jobs.set(key, { job, digest: order.idempotency?.digest ?? null })
    return job
  }

  async get(_team: string, id: string): Promise<Job | null> {
    return [...this.jobs.values()].find(({ job }) => job.id === id)?.job ?? null
  }
}

function scene(terms: { readonly outputLocation?: string; readonly failureLocation?: string } = {}) {
  const stores = new MemoryObjects()
  const desk = new OneJobPerKey()
  const clock = new FakeClock()
  const invocations = new InvocationDesk({
    desk: desk as unknown as JobDesk,
    stores,
    clock,
    termsOf: () => ({
      outputLocation: null,
      failureLocation: null,
      maxConcurrentInvocations: 1,
      successTopics: [],
      errorTopics: [],
      includeResponseIn: [],
      ...terms,
    }),
    maxPayloadBytes: 20,
    onError: () => {},
  })
  return { stores, desk, clock, invocations, bucket: stores.bucket('inferd-local') }
}

test('an order becomes a job of its endpoint’s lane: what it waits for, where it reads and writes', async () => {
  const { desk, invocations } = scene()
  const invocation = await invocations.accept(orderOf({ inferenceId: 'order-7', outputFolder: 'a/b' }), SIGNAL)
  expect(desk.orders[0]).toMatchObject({
    id: invocation.id,
    kind: 'async',
    lane: 'chat',
    startWithinMs: 60_000,
    ttlMs: 90_000,
    idempotency: { key: 'async:inference:chat:order-7' },
  })
  expect(invocation).toMatchObject({
    inferenceId: 'order-7',
    inputLocation: 's3://shared/in/7.json',
    outputLocation: `s3://inferd-local/async/output/a/b/${invocation.id}.out`,
    failureLocation: `s3://inferd-local/async/output/a/b/${invocation.id}.error`,
  })
  const unnamed = await invocations.accept(orderOf(), SIGNAL)
  expect(unnamed.inferenceId).toBe(unnamed.id)
  expect(desk.orders[1]!.idempotency).toBeNull()
})

test('results and failures lie where the endpoint’s terms say', async () => {
  const { invocations } = scene({ outputLocation: 's3://shared/out', failureLocation: 's3://shared/failed' })
  expect(await invocations.accept(orderOf({ outputName: 'x.json' }), SIGNAL)).toMatchObject({
    outputLocation: 's3://shared/out/x.json',
    failureLocation: expect.stringMatching(/^s3:\/\/shared\/failed\/inv-.*\.error$/) as string,
  })
})

test('a payload is in the bucket before the job is there, under its id', async () => {
  const { desk, invocations, bucket } = scene()
  const submit = desk.submit.bind(desk)
  desk.submit = async (order) => {
    expect(bucket.text(`async/input/${order.id}`)).toBe('one two')
    return submit(order)
  }
  const { id, inputLocation } = await invocations.accept(
    orderOf({ input: { kind: 'payload', chunks: chunksOf('one', ' two'), maxBytes: null } }),
    SIGNAL,
  )
  expect(inputLocation).toBe(`s3://inferd-local/async/input/${id}`)
  expect(desk.orders[0]!.spec['ownsInput']).toBe(true)
})

test.each<[string, Partial<InvocationOrder>, string]>([
  ['an input that is no location', { input: { kind: 'object', uri: 'file:///etc/passwd' } }, 'invalid_parameter'],
  ['an input that is a whole bucket', { input: { kind: 'object', uri: 's3://shared' } }, 'invalid_parameter'],
  ['a bucket of another team', { input: { kind: 'object', uri: 's3://inferd-red/a' } }, 'resource_not_found'],
  ['a payload beyond the bound', { input: { kind: 'payload', chunks: chunksOf('x'.repeat(21)), maxBytes: null } }, 'payload_too_large'],
  ['a payload beyond the call’s own bound', { input: { kind: 'payload', chunks: chunksOf('x'.repeat(11)), maxBytes: 10 } }, 'payload_too_large'],
])('what cannot be accepted leaves nothing behind: %s', async (_name, changes, code) => {
  const { desk, invocations, bucket } = scene()
  await expect(invocations.accept(orderOf(changes), SIGNAL)).rejects.toMatchObject({ code })
  expect([desk.orders, [...bucket.objects.keys()]]).toEqual([[], []])
})

test('a desk that refuses the job takes its payload with it', async () => {
  const { desk, invocations, bucket } = scene()
  desk.failure = new InferdError('overloaded', 'too many jobs wait')
  const order = orderOf({ input: { kind: 'payload', chunks: chunksOf('x'), maxBytes: null } })
  await expect(invocations.accept(order, SIGNAL)).rejects.toMatchObject({ code: 'overloaded' })
  expect(bucket.objects.size).toBe(0)
})

test('one inference id of a team is one invocation; with another order it is a conflict; of two teams it is two', async () => {
  const { desk, invocations, bucket } = scene()
  const payload = (text: string, changes: Partial<InvocationOrder> = {}): InvocationOrder =>
    orderOf({ inferenceId: 'a', input: { kind: 'payload', chunks: chunksOf(text), maxBytes: null }, ...changes })
  const first = await invocations.accept(payload('x'), SIGNAL)
  expect(await invocations.accept(payload('x'), SIGNAL)).toEqual(first)
  await expect(invocations.accept(payload('y'), SIGNAL)).rejects.toMatchObject({ code: 'conflict' })
  await expect(invocations.accept(payload('x', { contentType: 'text/csv' }), SIGNAL)).rejects.toMatchObject({ code: 'conflict' })
  await expect(invocations.accept(payload('x', { headers: {} }), SIGNAL)).rejects.toMatchObject({ code: 'conflict' })
  expect([...bucket.objects.keys()]).toEqual([`async/input/${first.id}`])
  const other = await invocations.accept(payload('x', { endpoint: 'code' }), SIGNAL)
  const red = await invocations.accept(payload('x', { principal: { ...LOCAL_PRINCIPAL, team: 'red' } }), SIGNAL)
  expect(new Set([first.id, other.id, red.id]).size).toBe(3)
  expect(desk.orders).toHaveLength(3)
})

test('one name of an output has one invocation', async () => {
  const { invocations } = scene()
  const first = await invocations.accept(orderOf({ outputName: 'x.json' }), SIGNAL)
  expect((await invocations.accept(orderOf({ outputName: 'x.json' }), SIGNAL)).id).toBe(first.id)
  await expect(invocations.accept(orderOf({ outputName: 'x.json', inferenceId: 'b' }), SIGNAL)).rejects.toMatchObject({ code: 'conflict' })
  expect((await invocations.accept(orderOf({ outputName: 'x.json', outputFolder: 'y' }), SIGNAL)).id).not.toBe(first.id)
})

test('the longest names of folder and output are one invocation too', async () => {
  const { desk, invocations } = scene({ outputLocation: `s3://shared/${'o'.repeat(500)}` })
  const order = orderOf({ outputFolder: 'f'.repeat(480), outputName: 'n'.repeat(32) })
  const first = await invocations.accept(order, SIGNAL)
  expect((await invocations.accept(order, SIGNAL)).id).toBe(first.id)
  expect(desk.orders[0]!.idempotency!.key.length).toBeLessThan(512)
})

test('a caller who leaves while the payload comes leaves no job', async () => {
  const { desk, invocations, bucket } = scene()
  const caller = new AbortController()
  const chunks = (async function* () {
    yield Buffer.from('x')
    caller.abort(new InferdError('cancelled', 'the client closed the connection'))
  })()
  await expect(invocations.accept(orderOf({ input: { kind: 'payload', chunks, maxBytes: null } }), caller.signal)).rejects.toMatchObject({
    code: 'cancelled',
  })
  await settle()
  expect([desk.orders, bucket.objects.size]).toEqual([[], 0])
})

test('the sweep takes payloads without an invocation, and of ended ones, when they are old; it takes no other', async () => {
  const { stores, desk, bucket } = scene()
  const live = await desk.submit({ ...({} as JobOrder), id: 'inv-live', principal: LOCAL_PRINCIPAL, spec: {}, idempotency: null })
  desk.jobs.set('ended', { job: jobOf({ id: 'inv-ended', state: 'succeeded', endedMs: 1 }), digest: null })
  for (const name of [live.id, 'inv-ended', 'inv-orphan'])
    await bucket.put(`async/input/${name}`, chunksOf('x'), { contentType: '', maxBytes: 9, ifAbsent: false })
  await bucket.put('async/output/inv-orphan', chunksOf('x'), { contentType: '', maxBytes: 9, ifAbsent: false })
  const ports = { stores, desk: desk as unknown as JobDesk, signal: SIGNAL }
  expect(await sweepPayloads('local', { ...ports, nowMs: 3_599_999 })).toBe(0)
  expect(await sweepPayloads('local', { ...ports, nowMs: 3_600_000 })).toBe(2)
  expect([...bucket.objects.keys()].sort()).toEqual(['async/input/inv-live', 'async/output/inv-orphan'])
})
