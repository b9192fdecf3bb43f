/** HTTP/2 in clear text on the port of HTTP/1.1: the same answers, limits and aborts. */
import { once } from 'node:events'
import { type ClientHttp2Session, connect, constants, type OutgoingHttpHeaders } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FakeModel, sayNothing, sayWords, speakForEver } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const CHAT = { model: 'fake/model', messages: [{ role: 'user', content: 'hi' }] }

let target: TestServer
let model: FakeModel
let session: ClientHttp2Session

beforeEach(async () => {
  target = await startTestServer({ options: { headersTimeoutMs: 500, maxConnections: 8, bodyLimitBytes: 10_000 } })
  model = target.model
  session = connect(target.url)
  session.on('error', () => {})
})

afterEach(async () => {
  session.destroy()
  await target.server.close({ graceMs: 0 })
})

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

async function ask(headers: OutgoingHttpHeaders, body?: string, on = session): Promise<Answer> {
  const stream = on.request(headers, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  const [answered] = (await once(stream, 'response')) as [Record<string, unknown>]
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return { status: Number(answered[':status']), headers: answered, body: text }
}

function post(body: object, on = session): Promise<Answer> {
  return ask({ ':method': 'POST', ':path': '/v1/chat/completions', 'content-type': 'application/json' }, JSON.stringify(body), on)
}

async function untilStopped(): Promise<void> {
  for (let waits = 0; waits < 500 && model.numRunning > 0; waits++) await delay(5)
}

test('whole answers, streams and errors are those of HTTP/1.1, without headers of its connections', async () => {
  const whole = await post(CHAT)
  expect(whole.status).toBe(200)
  expect(JSON.parse(whole.body)).toMatchObject({ choices: [{ message: { content: 'Hello wörld 🦊' } }] })
  const streamed = await post({ ...CHAT, stream: true })
  expect(streamed.body.endsWith('data: [DONE]\n\n')).toBe(true)
  expect(Object.keys({ ...whole.headers, ...streamed.headers }).filter((name) => /^(connection|keep-alive|transfer-encoding)$/.test(name))).toEqual(
    [],
  )
  expect((await post({ ...CHAT, temperature: 7 })).status).toBe(400)
  expect((await ask({ ':path': '/nowhere' })).status).toBe(404)
  expect((await ask({ ':path': '/readyz' })).status).toBe(200)
  // HTTP/1.1 beside it, on the same port.
  expect((await fetch(`${target.url}/readyz`)).status).toBe(200)
})

test('many streams run at once on one connection', async () => {
  model.script = sayWords(
    Array.from({ length: 50 }, (_, index) => `w${index} `),
    { waitMs: 1 },
  )
  const answers = await Promise.all(Array.from({ length: 50 }, () => post({ ...CHAT, stream: true })))
  expect(new Set(answers.map(({ status, body }) => `${status} ${body.match(/w\d+/g)?.length}`))).toEqual(new Set(['200 50']))
})

test('a stream that is reset ends its own request only; a session that goes ends all of its requests', async () => {
  model.script = speakForEver(5)
  const open = (): ReturnType<ClientHttp2Session['request']> => {
    const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', 'content-type': 'application/json' })
    stream.on('error', () => {}).resume()
    stream.end(JSON.stringify({ ...CHAT, stream: true }))
    return stream
  }
  const streams = [open(), open(), open()]
  await Promise.all(streams.map((stream) => once(stream, 'response')))
  expect(model.numRunning).toBe(3)
  streams[0]!.close(constants.NGHTTP2_CANCEL)
  for (let waits = 0; waits < 500 && model.numRunning > 2; waits++) await delay(5)
  expect(model.numRunning).toBe(2)
  session.destroy()
  await untilStopped()
  expect(model.numRunning).toBe(0)
})

test('a request that is waiting for its first word is aborted too', async () => {
  model.script = sayNothing
  const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', 'content-type': 'application/json' })
  stream.on('error', () => {})
  stream.end(JSON.stringify(CHAT))
  for (let waits = 0; waits < 500 && model.numRunning === 0; waits++) await delay(5)
  stream.close(constants.NGHTTP2_CANCEL)
  await untilStopped()
  expect(model.numRunning).toBe(0)
})

test('limits hold: body size, header size, foreign hosts', async () => {
  expect((await post({ ...CHAT, user: 'x'.repeat(20_000) })).status).toBe(413)
  expect((await ask({ ':path': '/v1/models', ':authority': 'evil.example' })).status).toBe(421)
  const refused = session.request({ ':path': '/v1/models', filler: 'x'.repeat(40_000) })
  const [headers] = (await once(refused, 'response')) as [Record<string, unknown>]
  expect(headers[':status']).toBe(431)
  // The server goes on.
  const other = connect(target.url)
  expect((await post(CHAT, other)).status).toBe(200)
  other.destroy()
})

test('14: a client that resets streams by the hundred loses its session, and others do not notice', async () => {
  model.script = speakForEver(5)
  const closed = new Promise((resolve) => session.once('close', resolve))
  for (let round = 0; round < 2000 && !session.destroyed; round++) {
    const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', 'content-type': 'application/json' })
    stream.on('error', () => {})
    stream.close(constants.NGHTTP2_CANCEL)
    if (round % 50 === 0) await delay(1)
  }
  await closed
  await untilStopped()
  model.script = sayWords(['ok'])
  const other = connect(target.url)
  expect((await post(CHAT, other)).status).toBe(200)
  other.destroy()
})

test('a silent connection and a half preface are closed after the header time', async () => {
  for (const opening of ['', 'P', 'PR']) {
    const socket = connectSocket(target.port, '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
    if (opening !== '') socket.write(opening)
    await once(socket, 'close')
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
  }
})

test('an idle session is closed, and the oldest idle connection makes room at the cap', async () => {
  await post(CHAT)
  const others = Array.from({ length: 8 }, () => connect(target.url))
  for (const other of others) {
    other.on('error', () => {})
    await once(other, 'connect')
  }
  expect((await post(CHAT, others[7])).status).toBe(200)
  for (let waits = 0; waits < 300 && !session.destroyed; waits++) await delay(5)
  expect(session.destroyed).toBe(true)
  for (const other of others) other.destroy()
})

test('a drain lets running streams end and takes no new ones', async () => {
  model.script = sayWords(
    Array.from({ length: 20 }, () => 'word '),
    { waitMs: 10 },
  )
  const running = post({ ...CHAT, stream: true })
  for (let waits = 0; waits < 500 && model.numRunning === 0; waits++) await delay(5)
  const closing = target.server.close({ graceMs: 5000 })
  expect((await running).body.endsWith('data: [DONE]\n\n')).toBe(true)
  await closing
  await once(connectSocket(target.port, '127.0.0.1'), 'error')
})
