/** Captures over a store that a test makes fail, hang and come back, on a clock that it turns. */
import { beforeEach, expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import type { CaptureTerms } from '#contract/capture'
import { InferdError } from '#contract/errors'
import type { Bucket, ObjectMeta, ObjectStores } from '#contract/objects'
import { createLog } from '#telemetry/log'
import { EndpointCaptures, type UnitCapture } from './call-captures.ts'
import { DEFAULT_CAPTURE_OPTIONS, type CaptureOptions } from './capture-options.ts'
import { samplePlace } from './sample.ts'

const TERMS: CaptureTerms = {
  isEnabled: true,
  percent: 100,
  team: 'ours',
  uri: 's3://kept/c',
  input: true,
  output: true,
  csvTypes: [],
  jsonTypes: ['application/json'],
}

let clock: FakeClock
let objects: Map<string, string>
let counts: Record<string, number>
let numHeld: number
/** What the next puts do; `hang` = until their signal aborts. */
let fault: 'none' | 'hang' | InferdError
/** Of all attempts to write. */
let keysTried: Set<string>

const bucket = {
  put: async (key: string, chunks: AsyncIterable<Uint8Array>, _options: unknown, signal: AbortSignal): Promise<ObjectMeta | null> => {
    keysTried.add(key)
    if (fault === 'hang') await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))
    if (fault instanceof InferdError) throw fault
    let text = ''
    for await (const chunk of chunks) text += Buffer.from(chunk).toString()
    if (objects.has(key)) return null
    objects.set(key, text)
    return null
  },
} as unknown as Bucket

const stores: ObjectStores = {
  locate: (_team, uri) => ({ bucket, bucketName: 'kept', key: uri.replace('s3://kept/', '') }),
  uriOf: () => '',
  defaultBucket: () => 'kept',
}

function open(options: Partial<CaptureOptions> = {}): EndpointCaptures {
  const count = (name: string, by = 1): void => void (counts[name] = (counts[name] ?? 0) + by)
  return new EndpointCaptures({
    objects: stores,
    options: { ...DEFAULT_CAPTURE_OPTIONS, ...options },
    watch: {
      onWritten: ({ variant }, by) => count(`written ${variant}`, by),
      onDropped: (_, by, reason) => count(`dropped ${reason}`, by),
      onTruncated: () => count('truncated'),
      onFailure: () => count('failed'),
      onHeld: (numBytes) => (numHeld = numBytes),
    },
    clock,
    log: createLog('silent'),
  })
}

function unit(terms: Partial<CaptureTerms> = {}, variant = 'main', generation = 1): UnitCapture {
  return { unit: `chat/${variant}@${generation}`, variant, terms: { ...TERMS, ...terms } }
}

interface Asked {
  readonly model?: string
  readonly servedBy?: string | null
  readonly input?: string
  readonly output?: readonly (string | Uint8Array)[]
}

function ask(
  captures: EndpointCaptures,
  id: string,
  { model = 'chat', servedBy = 'chat/main@1', input = '{}', output = ['{"a":', Buffer.from('1}')] }: Asked = {},
): boolean {
  const tee = captures.begin(model, id)
  for (const piece of output) tee?.add(piece)
  const request = { contentType: 'application/json', bytes: Buffer.from(input) }
  tee?.finish({ servedBy, inferenceId: null, request, answerType: 'application/json' })
  tee?.abandon()
  return tee !== null
}

interface Line {
  readonly captureData: {
    readonly endpointInput?: { readonly data: string }
    readonly endpointOutput?: { readonly data: string; readonly truncated?: true }
  }
  readonly eventMetadata: { readonly eventId: string }
}

function lines(): readonly Line[] {
  return [...objects.values()].flatMap((text) => text.trimEnd().split('\n')).map((line) => JSON.parse(line) as Line)
}

function ids(): readonly string[] {
  return lines().map(({ eventMetadata }) => eventMetadata.eventId)
}

beforeEach(() => {
  clock = new FakeClock()
  objects = new Map()
  counts = {}
  numHeld = 0
  fault = 'none'
  keysTried = new Set()
})

test('calls are written together when their time has come, and nothing is held any more', async () => {
  const captures = open()
  captures.put('chat', [unit()])
  ask(captures, 'a')
  await clock.advance(5000)
  ask(captures, 'b')
  await clock.advance(4999)
  expect(objects.size).toBe(0)
  await clock.advance(1)
  expect(ids()).toEqual(['a', 'b'])
  expect(lines()[0]!.captureData.endpointOutput!.data).toBe('{"a":1}')
  expect([objects.size, counts, numHeld, clock.numSleepers]).toEqual([1, { 'written main': 2 }, 0, 0])
  expect([...objects.keys()][0]).toMatch(/^c\/chat\/main\/2023\/11\/14\/22\/13-20-000-[0-9a-f-]{36}\.jsonl$/)
})

test('a batch that is full is written at once, and one that would go into another hour begins anew', async () => {
  const captures = open({ batchRecords: 3, flushMs: 7_200_000 })
  captures.put('chat', [unit()])
  for (let index = 0; index < 7; index++) ask(captures, String(index))
  await settle()
  expect([...objects.values()].map((text) => text.split('\n').length - 1)).toEqual([3, 3])
  await clock.advance(3_600_000)
  ask(captures, '7')
  await settle()
  expect(objects.size).toBe(3)
  await captures.close(1000)
  expect(ids()).toHaveLength(8)
})

test('the sample is exactly the ids whose place is below the percentage', async () => {
  const captures = open()
  captures.put('chat', [unit({ percent: 20 })])
  const all = Array.from({ length: 1000 }, (_, index) => `req-${index}`)
  for (const id of all) ask(captures, id)
  await captures.close(1000)
  expect(ids()).toEqual(all.filter((id) => samplePlace(id) < 20))
  expect(ids().length).toBeGreaterThan(150)
})

test('each variant has objects of its own, and each generation its own terms', async () => {
  const captures = open()
  captures.put('chat', [unit({ output: false }), unit({ percent: 0 }, 'other'), unit({ input: false, uri: 's3://kept/d' }, 'main', 2)])
  ask(captures, 'a')
  ask(captures, 'b', { servedBy: 'chat/main@2', model: 'chat/main' })
  ask(captures, 'c', { servedBy: 'chat/other@1' })
  ask(captures, 'd', { servedBy: null })
  expect(ask(captures, 'e', { model: 'elsewhere' })).toBe(false)
  await captures.close(1000)
  expect(Object.fromEntries(lines().map(({ captureData, eventMetadata }) => [eventMetadata.eventId, Object.keys(captureData)]))).toEqual({
    a: ['endpointInput'],
    b: ['endpointOutput'],
  })
  expect([...objects.keys()].map((key) => key.slice(0, 12))).toEqual(['c/chat/main/', 'd/chat/main/'])
  expect(numHeld).toBe(0)
})

test('a generation has no more than its own percentage, whatever the one beside it has', async () => {
  const captures = open()
  captures.put('chat', [unit(), unit({ percent: 20 }, 'main', 2)])
  const all = Array.from({ length: 100 }, (_, index) => `req-${index}`)
  for (const id of all) ask(captures, id, { servedBy: 'chat/main@2' })
  await captures.close(1000)
  expect([ids(), numHeld]).toEqual([all.filter((id) => samplePlace(id) < 20), 0])
})

test('what is switched off is kept no more; a call that runs keeps its terms', async () => {
  const captures = open()
  captures.put('chat', [unit()])
  const tee = captures.begin('chat', 'a')!
  captures.put('chat', [unit({ isEnabled: false })])
  expect(ask(captures, 'b')).toBe(false)
  tee.finish({ servedBy: 'chat/main@1', inferenceId: null, request: { contentType: '', bytes: Buffer.alloc(0) }, answerType: '' })
  captures.put('chat', [])
  await captures.close(1000)
  expect(ids()).toEqual(['a'])
})

test('a body beyond the limit is cut, says so and is counted; a refused call holds nothing', async () => {
  const captures = open({ maxBodyBytes: 10 })
  captures.put('chat', [unit()])
  ask(captures, 'a', { input: 'x'.repeat(11), output: ['12345', Buffer.from('67'), '89012', 'never'] })
  ask(captures, 'b', { input: 'x'.repeat(10), output: ['1234567890'] })
  const refused = captures.begin('chat', 'c')!
  refused.add('words')
  expect(numHeld).toBeGreaterThan(0)
  refused.abandon()
  await captures.close(1000)
  const [cut, whole] = lines()
  expect(cut!.captureData).toMatchObject({
    endpointInput: { data: 'xxxxxxxxxx', truncated: true },
    endpointOutput: { data: '1234567890', truncated: true },
  })
  expect(whole!.captureData.endpointOutput).not.toHaveProperty('truncated')
  expect([ids(), counts['truncated'], numHeld]).toEqual([['a', 'b'], 2, 0])
})

test('a store that is down is tried again later and later; what it missed comes in order, once', async () => {
  const captures = open()
  captures.put('chat', [unit()])
  fault = new InferdError('store_failed', 'gone')
  ask(captures, 'a')
  await clock.advance(10_000)
  ask(captures, 'b')
  await clock.advance(60_000)
  // At 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s.
  expect([counts['failed'], objects.size]).toEqual([7, 0])
  fault = 'none'
  await clock.advance(30_000)
  expect([ids(), counts['written main'], numHeld]).toEqual([['a', 'b'], 2, 0])
})

test('an attempt that hangs is given up, and the next one has the same name', async () => {
  const captures = open()
  captures.put('chat', [unit()])
  fault = 'hang'
  ask(captures, 'a')
  await clock.advance(39_999)
  expect(counts['failed']).toBeUndefined()
  await clock.advance(1)
  expect(counts['failed']).toBe(1)
  fault = 'none'
  await clock.advance(500)
  expect([ids(), keysTried.size, clock.numSleepers]).toEqual([['a'], 1, 0])
})

test('while the store is down a bounded number is held and the rest is dropped and counted', async () => {
  const captures = open({ maxLaneBytes: 6000 })
  captures.put('chat', [unit({}, 'main'), unit({ uri: 's3://kept/d' }, 'other')])
  fault = new InferdError('store_failed', 'gone')
  for (let index = 0; index < 50; index++) ask(captures, `m${index}`)
  expect(numHeld).toBeLessThanOrEqual(6000)
  ask(captures, 'o', { servedBy: 'chat/other@1' })
  await clock.advance(10_000)
  fault = 'none'
  await clock.advance(60_000)
  expect(ids()).toContain('o')
  expect(ids().length + counts['dropped full']!).toBe(51)
  expect(ids().filter((id) => id.startsWith('m'))).toEqual(Array.from({ length: 11 }, (_, index) => `m${index}`))
  expect(numHeld).toBe(0)
})

test('answers that are being given count too: what there is no room for is dropped', async () => {
  const captures = open({ maxHeldBytes: 2000 })
  captures.put('chat', [unit()])
  const tees = ['a', 'b', 'c'].map((id) => captures.begin('chat', id)!)
  for (const tee of tees) tee.add('x'.repeat(900))
  expect(numHeld).toBe(1800)
  for (const tee of tees.toReversed())
    tee.finish({ servedBy: 'chat/main@1', inferenceId: null, request: { contentType: '', bytes: Buffer.alloc(0) }, answerType: '' })
  await captures.close(1000)
  expect([ids(), counts, numHeld]).toEqual([['a'], { 'dropped full': 2, 'written main': 1 }, 0])
})

test('what a store will never take is dropped at once, and the next batch has its try', async () => {
  const captures = open()
  captures.put('chat', [unit()])
  fault = new InferdError('resource_not_found', 'no bucket')
  ask(captures, 'a')
  await clock.advance(10_000)
  expect(counts).toEqual({ failed: 1, 'dropped refused': 1 })
  fault = 'none'
  ask(captures, 'b')
  await clock.advance(10_000)
  expect([ids(), numHeld]).toEqual([['b'], 0])
})

test('the end of the server waits for the store no longer than it may, and says what is lost', async () => {
  const captures = open()
  captures.put('chat', [unit()])
  fault = 'hang'
  ask(captures, 'a')
  const running = captures.begin('chat', 'running')!
  running.add('words')
  const closed = captures.close(5000)
  ask(captures, 'late')
  await clock.advance(5000)
  await closed
  expect(counts).toEqual({ 'dropped shutdown': 2 })
  expect([numHeld, clock.numSleepers]).toEqual([5, 0])
  expect(ask(captures, 'later')).toBe(false)
  running.finish({ servedBy: 'chat/main@1', inferenceId: null, request: { contentType: '', bytes: Buffer.alloc(0) }, answerType: '' })
  expect([counts, numHeld]).toEqual([{ 'dropped shutdown': 3 }, 0])
})

test('at the end a store that was down is tried at once', async () => {
  const captures = open()
  captures.put('chat', [unit()])
  fault = new InferdError('store_failed', 'gone')
  ask(captures, 'a')
  await clock.advance(30_000)
  fault = 'none'
  await captures.close(5000)
  expect(ids()).toEqual(['a'])
})
