/** What a hostile or clumsy HTTP/2 client sends, and that others on its connection and beside it do not notice. */
import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type OutgoingHttpHeaders } from 'node:http2'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { FakeModel, sayNothing, sayWords, type Script, speakForEver } from './fake-model.ts'
import { RawClient } from './raw-client.ts'
import { startTestServer, type TestServer, type TestServerArguments } from './test-server.ts'

const CHAT = { model: 'fake/model', messages: [{ role: 'user', content: 'hi' }] }
const PATH = '/v1/chat/completions'
/** RFC 9113, section 3.4. */
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

let target: TestServer
let session: ClientHttp2Session
const opened: { destroy(): void }[] = []

async function start(args: TestServerArguments = {}): Promise<void> {
  target = await startTestServer(args)
  session = open()
}

function open(): ClientHttp2Session {
  const client = connect(target.url)
  client.on('error', () => {})
  opened.push(client)
  return client
}

beforeEach(() => {
  opened.length = 0
})

afterEach(async () => {
  for (const one of opened) one.destroy()
  await target.server.close({ graceMs: 0 })
})

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
  readonly rstCode: number
}

function request(headers: OutgoingHttpHeaders, options: { readonly endStream?: boolean } = {}, on = session): ClientHttp2Stream {
  const stream = on.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/json', ...headers }, options)
  stream.on('error', () => {})
  return stream
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
  let body = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
  await once(stream, 'close')
  return { status: Number(headers[':status']), headers, body, rstCode: stream.rstCode }
}

async function post(body: object, headers: OutgoingHttpHeaders = {}, on = session): Promise<Answer> {
  const stream = request(headers, {}, on)
  stream.end(JSON.stringify(body))
  return answerOf(stream)
}

function codeOf({ body }: Answer): unknown {
  return (JSON.parse(body) as { error: { code: unknown } }).error.code
}

test('2: a body that trickles is refused, however busy the streams beside it are', async () => {
  await start({ options: { bodyRateGraceMs: 200, bodyTimeoutMs: 2000 } })
  const slow = request({})
  slow.write('{')
  const busy = (async () => {
    for (let round = 0; round < 60; round++) await post({ ...CHAT, user: 'x'.repeat(1000) })
  })()
  const answer = await answerOf(slow)
  expect([answer.status, codeOf(answer)]).toEqual([408, 'request_timeout'])
  await busy
})

test('3: too many and too large headers are refused in words', async () => {
  await start()
  const many = Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`x-h${index}`, '1']))
  const tooMany = await post(CHAT, many)
  expect([tooMany.status, codeOf(tooMany)]).toEqual([431, 'headers_too_large'])
  const tooLarge = await post(CHAT, { 'x-large': 'x'.repeat(20_000) })
  expect([tooLarge.status, codeOf(tooLarge)]).toEqual([431, 'headers_too_large'])
  expect((await post(CHAT)).status).toBe(200)
})

test('4: a body that is cut off by a reset starts no work and keeps no memory', async () => {
  await start({ options: { maxBufferedBodyBytes: 200_000 } })
  for (let round = 0; round < 50; round++) {
    const stream = request({ 'content-length': '100000' })
    stream.write('x'.repeat(10_000))
    await delay(2)
    stream.close(constants.NGHTTP2_CANCEL)
  }
  await delay(50)
  expect((await post({ ...CHAT, user: 'x'.repeat(1000) })).status).toBe(200)
  expect(target.model.requests).toHaveLength(1)
  expect(target.lines.filter(({ level }) => level !== 'info')).toEqual([])
})

test('7: a body over the limit is refused while it arrives; the connection serves on', async () => {
  await start({ options: { bodyLimitBytes: 50_000 } })
  const stream = request({})
  let isClosed = false
  stream.once('close', () => (isClosed = true))
  const answer = answerOf(stream)
  for (let round = 0; round < 200 && !isClosed; round++) {
    stream.write('x'.repeat(1000))
    if (round % 20 === 0) await delay(1)
  }
  expect([(await answer).status, codeOf(await answer)]).toEqual([413, 'payload_too_large'])
  // Far more than the windows of HTTP/2 hold: a refused body must not use the connection's up.
  for (let round = 0; round < 5; round++) expect((await post({ ...CHAT, user: 'x'.repeat(900) })).status).toBe(200)
})

test('12: the authority is the host, and a host that says otherwise is refused', async () => {
  await start()
  expect((await post(CHAT, { ':authority': 'evil.example' })).status).toBe(421)
  expect((await post(CHAT, { ':authority': `localhost:${target.port}` })).status).toBe(200)
  expect((await post(CHAT, { ':authority': `localhost:${target.port}`, host: 'evil.example' })).status).toBe(400)
  expect((await post(CHAT, { origin: 'https://evil.example' })).status).toBe(403)
})

test('what stands behind the door sees headers of HTTP/1.1: a host, and nothing with a colon', async () => {
  const seen: (readonly [string, unknown])[] = []
  await start({
    authenticate: async ({ headers, url, method }) => {
      seen.push([method, url], ['host', headers.host])
      return {
        keyId: 'k',
        team: 't',
        scopes: ['inference'],
        models: null,
        limits: NONE,
        teamLimits: NONE,
      }
    },
  })
  expect((await post(CHAT)).status).toBe(200)
  expect(seen).toEqual([
    ['POST', PATH],
    ['host', `127.0.0.1:${target.port}`],
  ])
})

const NONE = {
  requestsPerMinute: null,
  tokensPerMinute: null,
  maxConcurrentRequests: null,
  budgetUsd: null,
  budgetPeriod: 'month' as const,
}

test('11: CONNECT, TRACE and unknown paths', async () => {
  await start()
  const tunnel = session.request({ ':method': 'CONNECT', ':authority': 'example.org:443' })
  tunnel.on('error', () => {})
  tunnel.end()
  expect((await answerOf(tunnel)).status).toBe(405)
  const trace = session.request({ ':method': 'TRACE', ':path': PATH })
  trace.on('error', () => {})
  expect([404, 405]).toContain((await answerOf(trace)).status)
})

test('trailers and expectations change nothing', async () => {
  await start()
  const stream = session.request(
    {
      ':method': 'POST',
      ':path': PATH,
      'content-type': 'application/json',
      expect: '100-continue',
    },
    { waitForTrailers: true },
  )
  stream.on('error', () => {}).on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1', authorization: 'Bearer late' }))
  stream.end(JSON.stringify(CHAT))
  expect((await answerOf(stream)).status).toBe(200)
})

test('1: a connection that says only its preface, or trickles its frames, is closed', async () => {
  await start({ options: { headersTimeoutMs: 300, keepAliveTimeoutMs: 600 } })
  const silent = await RawClient.open(target.port)
  silent.send(PREFACE)
  const trickling = await RawClient.open(target.port)
  trickling.send(PREFACE)
  // The head of a HEADERS frame that never ends, a byte at a time.
  const bytes = [0, 0x40, 0, 1, 4, 0, 0, 0, 1, ...Array.from({ length: 200 }, () => 0)]
  const start_ = performance.now()
  for (const byte of bytes) {
    if (trickling.closed) break
    trickling.send(Uint8Array.of(byte))
    await delay(20)
  }
  expect(await trickling.untilClosed(3000)).toBe(true)
  expect(performance.now() - start_).toBeLessThan(3000)
  expect(await silent.untilClosed(3000)).toBe(true)
})

test('broken frames end their connection only', async () => {
  await start()
  const broken = await RawClient.open(target.port)
  broken.send(`${PREFACE}this is no frame at all, and it goes on`)
  expect(await broken.untilClosed()).toBe(true)
  expect((await post(CHAT)).status).toBe(200)
})

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A POST without its body, in HPACK's static table (RFC 7541, appendix A). */
function headersFrame(stream: number, port: number): Buffer {
  const literal = (index: readonly number[], value: string): Buffer => Buffer.concat([Buffer.from([...index, value.length]), Buffer.from(value)])
  const block = [Buffer.from([0x83, 0x86]), literal([0x04], PATH), literal([0x01], `localhost:${port}`), literal([0x0f, 0x10], 'application/json')]
  return frame(0x1, 0x4, stream, Buffer.concat(block))
}

test('14: a client that makes the server reset its streams loses its connection, and no work stays', async () => {
  await start({ model: new FakeModel({ script: sayNothing }) })
  const hostile = await RawClient.open(target.port)
  hostile.send(PREFACE)
  hostile.send(frame(0x4, 0, 0, Buffer.alloc(0)))
  const body = Buffer.from(JSON.stringify({ ...CHAT, stream: true }))
  for (let round = 0; round < 100 && !hostile.closed; round++) {
    const ids = Array.from({ length: 50 }, (_, index) => 2 * (50 * round + index) + 1)
    for (const id of ids) hostile.send(Buffer.concat([headersFrame(id, target.port), frame(0x0, 0x1, id, body)]))
    await delay(20)
    // A window that grows beyond 2^31-1 is an error of its stream.
    for (const id of ids) hostile.send(frame(0x8, 0, id, Buffer.from([0x7f, 0xff, 0xff, 0xff])))
    await delay(5)
  }
  expect(await hostile.untilClosed()).toBe(true)
  expect(target.model.requests.length).toBeGreaterThan(49)
  await expect.poll(() => target.model.numRunning).toBe(0)
  target.model.script = sayWords(['ok'])
  expect((await post(CHAT)).status).toBe(200)
})

/** Speaks a kilobyte at a time, as fast as it is read. */
function flood(counter: { numEvents: number }): Script {
  return async function* (_request, signal) {
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    while (!signal.aborted) {
      counter.numEvents++
      yield { type: 'text-delta', choice: 0, text: 'x'.repeat(1024), logprobs: null }
      if (counter.numEvents % 64 === 0) await delay(0)
    }
  }
}

test('86: a stream whose window stays shut stops its model, is cut after the stall time, and never ends cleanly', async () => {
  const counter = { numEvents: 0 }
  await start({
    model: new FakeModel({ script: flood(counter) }),
    options: { streamBufferBytes: 65_536, streamStallTimeoutMs: 400 },
  })
  const stalled = request({})
  stalled.end(JSON.stringify({ ...CHAT, stream: true }))
  stalled.pause()
  await expect.poll(() => target.model.aborts.length, { timeout: 5000 }).toBe(1)
  expect(counter.numEvents).toBeLessThan(1000)
  stalled.resume()
  await expect.poll(() => stalled.closed).toBe(true)
  expect(stalled.rstCode).toBe(constants.NGHTTP2_CANCEL)
  // Its connection lives.
  target.model.script = sayWords(['ok'])
  expect((await post(CHAT)).status).toBe(200)
})

test('85: a slow stream holds nobody else on its connection up', async () => {
  const counter = { numEvents: 0 }
  await start({ model: new FakeModel({ script: flood(counter) }) })
  const slow = request({})
  slow.end(JSON.stringify({ ...CHAT, stream: true }))
  slow.pause()
  await delay(100)
  target.model.script = sayWords(Array.from({ length: 100 }, () => 'word '))
  const beside = await post({ ...CHAT, stream: true })
  expect(beside.body.endsWith('data: [DONE]\n\n')).toBe(true)
  slow.close(constants.NGHTTP2_CANCEL)
  await expect.poll(() => target.model.numRunning).toBe(0)
})

test('2,000 streams that are opened and left in groups leave nothing behind', async () => {
  await start({ model: new FakeModel({ script: sayNothing }) })
  for (let connection = 0; connection < 20; connection++) {
    const client = open()
    const streams = Array.from({ length: 100 }, () => {
      const stream = request({}, {}, client)
      stream.end(JSON.stringify({ ...CHAT, stream: connection % 2 === 0 }))
      return stream
    })
    await expect.poll(() => target.model.numRunning, { timeout: 5000 }).toBe(100)
    if (connection % 4 < 2) client.destroy()
    else for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL)
    await expect.poll(() => target.model.numRunning, { timeout: 5000 }).toBe(0)
    client.destroy()
  }
  expect(target.model.aborts).toHaveLength(2000)
})

test('no answer makes a warning of Node: no header of a connection is set', async () => {
  const warnings: unknown[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', onWarning)
  await start({ options: { bodyLimitBytes: 1000 } })
  await post(CHAT)
  await post({ ...CHAT, stream: true })
  await post({ ...CHAT, user: 'x'.repeat(5000) })
  await delay(20)
  process.off('warning', onWarning)
  expect(warnings).toEqual([])
})

test('a drain tells sessions to go, and ends what does not end in time', async () => {
  await start({ model: new FakeModel({ script: speakForEver(5) }) })
  const idle = open()
  await once(idle, 'remoteSettings')
  const stream = request({})
  stream.end(JSON.stringify({ ...CHAT, stream: true }))
  await once(stream, 'response')
  stream.resume()
  const gone = [once(idle, 'goaway'), once(session, 'goaway')]
  const startMs = systemClock.nowMs()
  await target.server.close({ graceMs: 200 })
  await Promise.all(gone)
  expect(systemClock.nowMs() - startMs).toBeLessThan(3000)
})
