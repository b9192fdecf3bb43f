/** Bad inputs 1 to 16 of the reliability study: what strangers' bytes may do to the HTTP layer. */
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FakeModel, speakForEver } from './fake-model.ts'
import { ask, post, RawClient } from './raw-client.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const BODY = JSON.stringify({ model: 'fake/model', messages: [{ role: 'user', content: 'hi' }] })
const STREAM_BODY = JSON.stringify({ ...(JSON.parse(BODY) as object), stream: true })
const BODY_LIMIT = 2000

let target: TestServer

beforeAll(async () => {
  target = await startTestServer({
    options: { headersTimeoutMs: 400, bodyTimeoutMs: 1000, bodyRateGraceMs: 300, bodyLimitBytes: BODY_LIMIT },
  })
})

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
})

/** The whole body, so that nothing else can leak into it. */
function errorBody(
  code: string,
  message: string,
  { type = 'invalid_request_error', param = null }: { readonly type?: string; readonly param?: string | null } = {},
): object {
  return { error: { message, type, param, code } }
}

async function expectError(bytes: string | Uint8Array, status: number, body: object): Promise<void> {
  const answer = await ask(target.port, bytes)
  expect({ status: answer.status, body: JSON.parse(answer.body) as unknown }).toEqual({ status, body })
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
}

function chunked(body: string): string {
  return `${post({}).replace('Content-Length: 0', 'Transfer-Encoding: chunked')}${body}`
}

function gzipped(payload: Uint8Array): Uint8Array {
  const head = post({ headers: ['Content-Encoding: gzip'] }).replace('Content-Length: 0', `Content-Length: ${payload.length}`)
  return Buffer.concat([Buffer.from(head), payload])
}

function get(path: string, method = 'GET'): string {
  return `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
}

const MALFORMED = errorBody('malformed_request', 'the request is not valid HTTP/1.1')
const TOO_LARGE = errorBody('payload_too_large', `the request body is larger than ${BODY_LIMIT} bytes`)
const MEDIA = errorBody('unsupported_media_type', 'content-type must be application/json (UTF-8)')
const MISDIRECTED = errorBody('misdirected_host', 'the Host header does not name this server')

test('1: a header that never ends is answered 408 and closed while others are served', async () => {
  const slow = await RawClient.open(target.port)
  slow.send('POST /v1/chat/completions HTTP/1.1\r\nHost: loc')
  expect((await ask(target.port, post({ body: BODY }))).status).toBe(200)
  const answer = await slow.answer()
  expect(answer.status).toBe(408)
  expect(JSON.parse(answer.body)).toEqual(errorBody('request_timeout', 'the request arrived too slowly'))
  expect(await slow.untilClosed()).toBe(true)
})

test('2: a body below the lowest rate is answered 408 and closed', async () => {
  const slow = await RawClient.open(target.port)
  slow.send(`${post({}).replace('Content-Length: 0', 'Content-Length: 1000')}{`)
  const answer = await slow.answer()
  expect(answer.status).toBe(408)
  expect(JSON.parse(answer.body)).toEqual(errorBody('request_timeout', 'the request body arrived too slowly'))
  expect(await slow.untilClosed()).toBe(true)
})

test('3: headers over 16 KiB or over their number are answered 431', async () => {
  await expectError(
    post({ body: BODY, headers: [`X: ${'a'.repeat(17_000)}`] }),
    431,
    errorBody('headers_too_large', 'the request headers are too large'),
  )
  const many = Array.from({ length: 2000 }, (_, index) => `X${index}: a`).slice(0, 1500)
  await expectError(post({ body: BODY, headers: many }), 431, errorBody('headers_too_large', 'the request has more than 128 headers'))
})

test('4: a body cut off by its sender starts no work and logs nothing above info', async () => {
  const numRequests = target.model.requests.length
  const client = await RawClient.open(target.port)
  client.send(post({}).replace('Content-Length: 0', 'Content-Length: 100') + BODY.slice(0, 20))
  await delay(30)
  const numLines = target.lines.length
  client.destroy()
  expect(await client.until(() => target.lines.length > numLines)).toBe(true)
  expect(target.lines.slice(numLines).map(({ level }) => level)).toEqual(['info'])
  expect(target.model.requests.length).toBe(numRequests)
})

test.each([
  ['content-length with transfer-encoding', post({ body: BODY, headers: ['Transfer-Encoding: chunked'] })],
  ['two content-lengths', post({ body: BODY, headers: ['Content-Length: 5'] })],
  ['bare line feeds', post({ body: BODY }).replaceAll('\r\n', '\n')],
  ['one bare line feed', post({ body: BODY, headers: ['A: b\nC: d'] })],
  ['a folded header', post({ body: BODY, headers: ['A: b\r\n  c'] })],
  ['a space before the colon', post({ body: BODY, headers: ['A : b'] })],
  ['an unknown method', get('/v1/models', 'FOO')],
])('5: %s is answered 400 and closed', async (_name, bytes) => {
  const client = await RawClient.open(target.port)
  client.send(bytes)
  const answer = await client.answer()
  expect([answer.status, JSON.parse(answer.body)]).toEqual([400, MALFORMED])
  expect(await client.untilClosed()).toBe(true)
  expect(client.received.match(/HTTP\/1\.1 /g)).toHaveLength(1)
})

test('6: chunk sizes beyond reason, endless chunk extensions and swarms of tiny chunks are refused', async () => {
  await expectError(chunked('fffffffffffffffffff\r\n'), 400, MALFORMED)
  await expectError(chunked(`ffffffff\r\n${'a'.repeat(BODY_LIMIT + 1)}`), 413, TOO_LARGE)
  await expectError(chunked(`1;${'a'.repeat(40_000)}`), 413, errorBody('payload_too_large', 'the chunk extensions of the body are too large'))
  await expectError(chunked('1\r\na\r\n'.repeat(BODY_LIMIT + 1)), 413, TOO_LARGE)
})

test('7: a body one byte over the limit is refused and one at the limit is served', async () => {
  expect((await ask(target.port, post({ body: BODY.padEnd(BODY_LIMIT) }))).status).toBe(200)
  await expectError(post({ body: BODY.padEnd(BODY_LIMIT + 1) }), 413, TOO_LARGE)
})

test('7: a declared gigabyte is refused before it is sent', async () => {
  await expectError(post({}).replace('Content-Length: 0', 'Content-Length: 1000000000'), 413, TOO_LARGE)
})

test('8: gzip is decoded under the same limit and other encodings are refused', async () => {
  expect((await ask(target.port, gzipped(gzipSync(BODY)))).status).toBe(200)
  await expectError(gzipped(gzipSync(Buffer.alloc(1_000_000))), 413, TOO_LARGE)
  await expectError(post({ body: BODY, headers: ['Content-Encoding: gzip'] }), 400, errorBody('malformed_body', 'the request body is not valid gzip'))
  const emptyMembers = Buffer.concat(Array.from({ length: 200 }, () => gzipSync('')))
  const head = post({ headers: ['Content-Encoding: gzip'] }).replace('Content-Length: 0', 'Transfer-Encoding: chunked')
  await expectError(Buffer.concat([Buffer.from(`${head}${emptyMembers.length.toString(16)}\r\n`), emptyMembers]), 413, TOO_LARGE)
  const cut = gzipSync(BODY)
  await expectError(gzipped(cut.subarray(0, cut.length - 12)), 400, errorBody('malformed_body', 'the request body is not valid gzip'))
  const unknown = errorBody('unsupported_media_type', 'content-encoding must be gzip or absent')
  await expectError(post({ body: BODY, headers: ['Content-Encoding: br'] }), 415, unknown)
  await expectError(post({ body: BODY, headers: ['Content-Encoding: gzip, gzip'] }), 415, unknown)
})

test('9: only application/json in UTF-8 is a body', async () => {
  const plain = post({ body: BODY })
  for (const media of [
    'text/plain',
    'application/json/x;;',
    'application/json; charset=latin1',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
  ]) {
    await expectError(plain.replace('application/json', media), 415, MEDIA)
  }
  await expectError(plain.replace('Content-Type: application/json\r\n', ''), 415, MEDIA)
  await expectError(post({}).replace('Content-Type: application/json\r\n', ''), 415, MEDIA)
  for (const media of ['application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"']) {
    expect((await ask(target.port, plain.replace('application/json', media))).status).toBe(200)
  }
})

test('10: crooked paths are 404 and reach no route', async () => {
  const crooked = ['//v1/../admin', '/v1/../v1/models', '/%2e%2e/v1/models', '/%00', '/%c0%ae', '/V1/Models', '/v1/models%2f', `/${'a'.repeat(8000)}`]
  for (const path of crooked) {
    await expectError(get(path), 404, errorBody('unknown_url', `no such route: GET ${path.slice(0, 128)}`))
  }
  await expectError(get('/v1/models/%zz'), 404, errorBody('unknown_url', 'no such route: GET /v1/models/%zz'))
})

test('11: another method on a known path is 405 with the methods that are allowed', async () => {
  for (const method of ['TRACE', 'OPTIONS', 'PUT', 'DELETE', 'PATCH', 'PROPFIND']) {
    await expectError(get('/v1/models', method), 405, errorBody('method_not_allowed', `${method} is not allowed here; use GET`))
  }
  const answer = await ask(target.port, get('/v1/chat/completions'))
  expect([answer.status, answer.headers['allow']]).toEqual([405, 'POST'])
  await expectError('CONNECT a:443 HTTP/1.1\r\nHost: localhost\r\n\r\n', 405, errorBody('method_not_allowed', 'this server is not a proxy'))
})

test('11: authorization comes before route errors, except for health', async () => {
  const { InferdError } = await import('#contract/errors')
  const guarded = await startTestServer({
    authenticate: () => Promise.reject(new InferdError('unauthenticated', 'a key is required')),
  })
  const refused = errorBody('invalid_api_key', 'a key is required')
  for (const bytes of [
    get('/v1/models'),
    get('/nowhere'),
    get('/v1/%zz'),
    get('/v1/models', 'TRACE'),
    get('//v1/models'),
    post({ body: BODY }),
    post({ body: '{' }),
  ]) {
    const answer = await ask(guarded.port, bytes)
    expect([answer.status, JSON.parse(answer.body), answer.headers['www-authenticate']]).toEqual([401, refused, 'Bearer'])
  }
  expect((await ask(guarded.port, get('/healthz'))).status).toBe(200)
  await guarded.server.close({ graceMs: 0 })
})

test('12: a Host that does not name this server is 421, a foreign Origin cannot change anything', async () => {
  for (const host of ['evil.example', '127.0.0.1.evil', '[::1', 'localhost:80:80', ''])
    await expectError(post({ body: BODY, host }), 421, MISDIRECTED)
  await expectError('GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n', 421, MISDIRECTED)
  for (const host of ['localhost', 'LOCALHOST:99', '127.0.0.1:1', '[::1]:80', 'localhost.']) {
    expect((await ask(target.port, post({ body: BODY, host }))).status).toBe(200)
  }
  const oneHost = errorBody('malformed_request', 'the request must have exactly one Host header')
  await expectError('GET /healthz HTTP/1.1\r\n\r\n', 400, oneHost)
  await expectError('GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n', 400, oneHost)
  const foreign = errorBody('forbidden', 'requests from web pages of another origin are refused', { type: 'permission_error' })
  for (const origin of ['http://evil.example', 'null']) {
    await expectError(post({ body: BODY, headers: [`Origin: ${origin}`] }), 403, foreign)
  }
  const own = await ask(target.port, post({ body: BODY, headers: ['Origin: http://localhost'] }))
  expect([own.status, own.headers['access-control-allow-origin']]).toEqual([200, undefined])
})

test('13: at the connection cap the oldest idle connection makes room and running work goes on', async () => {
  const model = new FakeModel({ script: speakForEver(10) })
  const small = await startTestServer({ model, options: { maxConnections: 3 } })
  const busy = await RawClient.open(small.port)
  busy.send(post({ body: STREAM_BODY }))
  await busy.until(() => busy.received.includes('on '))
  const idle = [await RawClient.open(small.port), await RawClient.open(small.port)]
  const newcomer = await RawClient.open(small.port)
  newcomer.send(get('/healthz'))
  expect((await newcomer.answer()).status).toBe(200)
  expect(await idle[0]?.untilClosed()).toBe(true)
  expect([idle[1]?.closed, busy.closed]).toEqual([false, false])
  for (let index = 0; index < 20; index++) await RawClient.open(small.port)
  const numBytes = busy.received.length
  expect(await busy.until(() => busy.received.length > numBytes)).toBe(true)
  await small.server.close({ graceMs: 0 })
})

test('15: a pipelined request waits for the stream before it and bodies never mix', async () => {
  const client = await RawClient.open(target.port)
  client.send(post({ body: STREAM_BODY }) + get('/healthz'))
  expect(await client.until(() => client.received.includes('{"status":"ok"}'))).toBe(true)
  expect(client.received.indexOf('[DONE]')).toBeLessThan(client.received.indexOf('{"status":"ok"}'))
  client.destroy()
})

test('15: garbage behind a running stream cuts the connection without a byte of another answer', async () => {
  const model = new FakeModel({ script: speakForEver(10) })
  const other = await startTestServer({ model })
  const client = await RawClient.open(other.port)
  client.send(post({ body: STREAM_BODY }))
  await client.until(() => client.received.includes('on '))
  client.send('\x00\x01garbage\r\n\r\n')
  expect(await client.untilClosed()).toBe(true)
  expect(client.received.match(/HTTP\/1\.1 /g)).toHaveLength(1)
  expect(client.received).not.toContain('[DONE]')
  await client.until(() => model.numRunning === 0)
  expect(model.numRunning).toBe(0)
  await other.server.close({ graceMs: 0 })
})

test.each(['half', 'full'] as const)('16: a client that closes (%s) aborts its model at once', async (kind) => {
  const model = new FakeModel({ script: speakForEver(10) })
  const other = await startTestServer({ model })
  const client = await RawClient.open(other.port)
  client.send(post({ body: STREAM_BODY }))
  await client.until(() => client.received.includes('on '))
  if (kind === 'half') client.socket.end()
  else client.destroy()
  expect(await client.until(() => model.numRunning === 0)).toBe(true)
  expect(model.aborts).toMatchObject([{ code: 'cancelled' }])
  await other.server.close({ graceMs: 0 })
})

test('every answer has a request id and a safe one of the client is kept', async () => {
  const answers = [
    await ask(target.port, get('/healthz')),
    await ask(target.port, get('/nowhere')),
    await ask(target.port, post({ body: BODY, headers: ['X-Request-Id: a b'] })),
  ]
  for (const answer of answers) expect(answer.headers['x-request-id']).toMatch(/^req-\d+$/)
  const own = await ask(target.port, post({ body: BODY, headers: ['X-Request-Id: trace-1'] }))
  expect(own.headers['x-request-id']).toBe('trace-1')
})
