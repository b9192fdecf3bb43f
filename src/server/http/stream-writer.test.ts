import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { StreamWriter, type StreamWriterOptions } from './stream-writer.ts'

const OPTIONS: StreamWriterOptions = {
  streamBufferBytes: 100,
  streamStallTimeoutMs: 30_000,
  minStreamBytesPerSecond: 10,
  streamOpenAfterMs: 10_000,
  heartbeatMs: 15_000,
}

/** What the writer uses of a response; the test is the reader. */
class FakeResponse extends EventEmitter {
  readonly chunks: (string | Uint8Array)[] = []
  head: object | null = null
  destroyed = false
  writableLength = 0
  writableNeedDrain = false
  hasEnded = false

  writeHead(status: number, headers: object): void {
    this.head = { status, ...headers }
  }

  write(bytes: string | Uint8Array): boolean {
    this.chunks.push(bytes)
    this.writableLength += bytes.length
    this.writableNeedDrain = this.writableLength > 0
    return false
  }

  end(): void {
    this.hasEnded = true
  }

  flushHeaders(): void {}

  destroy(): void {
    this.destroyed = true
  }

  takeAll(): void {
    this.writableLength = 0
    this.writableNeedDrain = false
    this.emit('drain')
  }
}

function openWriter(options: Partial<StreamWriterOptions> = {}): { response: FakeResponse; clock: FakeClock; writer: StreamWriter } {
  const response = new FakeResponse()
  const clock = new FakeClock()
  const writer = new StreamWriter({
    // The fake has the part of a response that the writer touches.
    response: response as unknown as ServerResponse,
    takeOver: () => ({ 'x-request-id': 'r' }),
    stream: { headers: { 'content-type': 'text/x' }, heartbeat: 'beat' },
    options: { ...OPTIONS, ...options },
    clock,
  })
  return { response, clock, writer }
}

/** Waits out one full buffer: the reader takes it after `afterMs`. */
async function fill({ response, clock, writer }: ReturnType<typeof openWriter>, afterMs: number): Promise<unknown> {
  const drained = writer.write('x'.repeat(101))
  const outcome = drained?.then(
    () => 'taken',
    (error: unknown) => error,
  )
  await clock.advance(afterMs)
  response.takeAll()
  return outcome
}

test('what is written before the event loop turns is one chunk; the end takes the rest along', async () => {
  const { response, writer } = openWriter()
  void writer.write('a')
  await Promise.resolve()
  void writer.write('b')
  await settle()
  void writer.write('c')
  void writer.write('d')
  writer.end()
  expect(response.chunks).toEqual(['ab', 'cd'])
  expect(response.hasEnded).toBe(true)
  expect(response.head).toEqual({ status: 200, 'x-request-id': 'r', 'content-type': 'text/x' })
})

test('bytes keep their place between texts', async () => {
  const { response, writer } = openWriter()
  void writer.write('a')
  void writer.write(Uint8Array.of(1))
  void writer.write('b')
  await settle()
  expect(response.chunks).toEqual(['a', Buffer.of(1), 'b'])
})

test('joined text never grows past the buffer', () => {
  const { response, writer } = openWriter()
  let numWaits = 0
  for (let count = 0; count < 300 && numWaits === 0; count++) if (writer.write('x') !== null) numWaits++
  expect([response.chunks, numWaits]).toEqual([['x'.repeat(101)], 1])
  writer.cut()
})

test('a stream that is silent before its first word is opened with a heartbeat, and beats on', async () => {
  const { response, clock, writer } = openWriter()
  await clock.advance(9_999)
  expect([response.head, response.chunks]).toEqual([null, []])
  await clock.advance(1)
  expect([writer.opened, response.chunks]).toEqual([true, ['beat']])
  response.takeAll()
  await clock.advance(15_000)
  expect(response.chunks).toEqual(['beat', 'beat'])
  writer.end()
  expect(clock.numSleepers).toBe(0)
})

test('an abandoned writer writes nothing, however long it is silent', async () => {
  const { response, clock, writer } = openWriter()
  writer.abandon()
  await clock.advance(100_000)
  expect([response.head, response.chunks, clock.numSleepers]).toEqual([null, [], 0])
})

test('a reader that takes nothing is given up after the stall time', async () => {
  const target = openWriter({ heartbeatMs: null })
  expect(await fill(target, 30_000)).toMatchObject({ code: 'cancelled' })
})

test('a reader that takes a little just before each stall time-out is given up soon', async () => {
  const target = openWriter({ heartbeatMs: null })
  // 101 bytes earn 10.1 s, and each wait of 29 s costs 29 s of at most 30 s.
  expect([await fill(target, 29_000), await fill(target, 29_000)]).toMatchObject(['taken', { code: 'cancelled' }])
})

test('a reader at the least rate is waited for without end', async () => {
  const target = openWriter({ heartbeatMs: null })
  for (let count = 0; count < 100; count++) expect(await fill(target, 10_000)).toBe('taken')
})
