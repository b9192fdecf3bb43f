/** Streams on the wire: their exact bytes, slow and silent readers, heartbeats, drain. */
import { get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { FakeModel, play, sayNothing, sayWords, type Script, speakForEver } from './fake-model.ts'
import { ask, post, RawClient } from './raw-client.ts'
import { startTestServer, type TestServer, type TestServerArguments } from './test-server.ts'

const STREAM_BODY = JSON.stringify({ model: 'fake/model', stream: true, messages: [{ role: 'user', content: 'hi' }] })
const BODY = JSON.stringify({ model: 'fake/model', messages: [{ role: 'user', content: 'hi' }] })

const started: TestServer[] = []

async function start(args: TestServerArguments): Promise<TestServer> {
  const target = await startTestServer(args)
  started.push(target)
  return target
}

afterEach(async () => {
  await Promise.all(started.splice(0).map(({ server }) => server.close({ graceMs: 0 })))
})

async function openStream(target: TestServer, body = STREAM_BODY): Promise<RawClient> {
  const client = await RawClient.open(target.port)
  client.send(post({ body }))
  return client
}

/** The payload of a chunked answer. */
function unchunk(received: string): string {
  let rest = Buffer.from(received.slice(received.indexOf('\r\n\r\n') + 4))
  let payload = ''
  for (;;) {
    const lineEnd = rest.indexOf('\r\n')
    const size = Number.parseInt(rest.subarray(0, lineEnd).toString(), 16)
    if (Number.isNaN(size) || size === 0) return payload
    payload += rest.subarray(lineEnd + 2, lineEnd + 2 + size).toString()
    rest = rest.subarray(lineEnd + 2 + size + 2)
  }
}

/** `created` and the fingerprint depend on the clock and the program. */
function masked(wire: string): string {
  return wire.replace(/"created":\d+/g, '"created":0').replace(/"system_fingerprint":"fp_[0-9a-f]{12}"/g, '"system_fingerprint":"fp"')
}

const CHUNK = '{"id":"chatcmpl-2","object":"chat.completion.chunk","created":0,"model":"fake/model","system_fingerprint":"fp","choices":['

test('90: the bytes of a chat stream, with line breaks and separators inside the text', async () => {
  const text = 'a\n\ndata: b\r\u2028c'
  const target = await start({
    model: new FakeModel({
      script: play([
        { type: 'response-start', promptTokens: 2, cachedTokens: 1 },
        { type: 'text-delta', choice: 0, text, logprobs: null },
        { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null },
        { type: 'response-end', usage: { promptTokens: 2, cachedTokens: 1, cacheWriteTokens: 0, completionTokens: 3, reasoningTokens: 0 } },
      ]),
    }),
  })
  const client = await openStream(target)
  await client.until(() => client.received.includes('0\r\n\r\n'))
  expect(masked(unchunk(client.received))).toBe(
    [
      `data: ${CHUNK}{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}`,
      `data: ${CHUNK}{"index":0,"delta":{"content":"a\\n\\ndata: b\\r\u2028c"},"logprobs":null,"finish_reason":null}]}`,
      `data: ${CHUNK}{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}`,
      'data: [DONE]',
      '',
    ].join('\n\n'),
  )
  expect(client.received).toMatch(/content-type: text\/event-stream; charset=utf-8\r\n/)
  expect(client.received).toMatch(/x-request-id: req-1\r\n/)
})

test('87: an error behind the first word ends the stream with one error frame, no [DONE], and closes it', async () => {
  const target = await start({
    model: new FakeModel({
      script: play([
        { type: 'response-start', promptTokens: 2, cachedTokens: 1 },
        { type: 'text-delta', choice: 0, text: 'a', logprobs: null },
        {
          type: 'response-error',
          error: { code: 'replica_lost', message: 'the worker died', param: null, retryAfterMs: null },
          usage: { promptTokens: 2, cachedTokens: 1, cacheWriteTokens: 0, completionTokens: 1, reasoningTokens: 0 },
        },
      ]),
    }),
  })
  const client = await openStream(target)
  await client.until(() => client.received.includes('0\r\n\r\n'))
  const frames = unchunk(client.received).split('\n\n')
  expect(frames).toHaveLength(4)
  expect(frames[2]).toBe('data: {"error":{"message":"the worker died","type":"server_error","param":null,"code":"replica_lost"}}')
  expect(frames[3]).toBe('')
})

test('94: an output without a word is one finish chunk, the usage and [DONE]', async () => {
  const target = await start({
    model: new FakeModel({
      script: play([
        { type: 'response-start', promptTokens: 2, cachedTokens: 0 },
        { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null },
        { type: 'response-end', usage: { promptTokens: 2, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 1, reasoningTokens: 0 } },
      ]),
    }),
  })
  const client = await openStream(target, JSON.stringify({ ...(JSON.parse(STREAM_BODY) as object), stream_options: { include_usage: true } }))
  await client.until(() => client.received.includes('0\r\n\r\n'))
  const frames = unchunk(client.received).split('\n\n').slice(0, -1)
  expect(frames).toHaveLength(4)
  expect(frames[2]).toContain(
    '"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}',
  )
})

test('a model that ends without a terminal event is an error, never a clean end', async () => {
  const target = await start({ model: new FakeModel({ script: play([{ type: 'response-start', promptTokens: 2, cachedTokens: 0 }]) }) })
  for (const body of [BODY, STREAM_BODY]) expect((await ask(target.port, post({ body }))).status).toBe(500)
})

/** Speaks a kilobyte at a time, as fast as it is read. */
function flood(counter: { numEvents: number }): Script {
  const text = 'x'.repeat(1024)
  return async function* (_request, signal) {
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    while (!signal.aborted) {
      counter.numEvents++
      yield { type: 'text-delta', choice: 0, text, logprobs: null }
      if (counter.numEvents % 64 === 0) await delay(0)
    }
  }
}

test('86: a reader that takes nothing stops the model at the buffer cap and is cut after the stall time', async () => {
  const counter = { numEvents: 0 }
  const model = new FakeModel({ script: flood(counter) })
  const target = await start({ model, options: { streamBufferBytes: 65_536, streamStallTimeoutMs: 400 } })
  const client = await openStream(target)
  await client.until(() => client.received.length > 0)
  client.socket.pause()
  let before = -1
  while (before !== counter.numEvents) {
    before = counter.numEvents
    await delay(100)
  }
  expect(model.numRunning).toBe(1)
  expect(await client.until(() => model.numRunning === 0)).toBe(true)
  expect(model.aborts).toMatchObject([{ code: 'cancelled' }])
})

test('85: a reader that comes back in time gets everything', async () => {
  const counter = { numEvents: 0 }
  const target = await start({ model: new FakeModel({ script: flood(counter) }), options: { streamStallTimeoutMs: 5000 } })
  const client = await openStream(target)
  await client.until(() => client.received.length > 0)
  client.socket.pause()
  await delay(300)
  const paused = counter.numEvents
  client.socket.resume()
  expect(await client.until(() => counter.numEvents > paused + 500)).toBe(true)
  client.destroy()
})

test('92: a silent model is kept alive by comments that start with the stream', async () => {
  const script: Script = async function* (_request, signal) {
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    yield { type: 'text-delta', choice: 0, text: 'a', logprobs: null }
    await delay(100_000, undefined, { signal })
  }
  const target = await start({ model: new FakeModel({ script }), options: { heartbeatMs: 30 } })
  const client = await openStream(target)
  expect(await client.until(() => (client.received.match(/: keep-alive\n\n/g)?.length ?? 0) >= 2)).toBe(true)
  client.destroy()
})

test('93: a stream whose first word is long in coming is opened before it; what fails then is an event, not a status', async () => {
  const refused = Promise.withResolvers<never>()
  const script: Script = async function* () {
    yield await refused.promise
  }
  const target = await start({ model: new FakeModel({ script }), options: { heartbeatMs: 1000, streamOpenAfterMs: 20 } })
  const client = await openStream(target)
  expect(await client.until(() => client.received.includes(': keep-alive\n\n'))).toBe(true)
  expect(client.received).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  expect(client.received).toMatch(/content-type: text\/event-stream; charset=utf-8\r\n/)
  refused.reject(new InferdError('replica_lost', 'the model worker was lost'))
  await client.until(() => client.received.includes('0\r\n\r\n'))
  expect(unchunk(client.received)).toBe(
    ': keep-alive\n\ndata: {"error":{"message":"the model worker was lost","type":"server_error","param":null,"code":"replica_lost"}}\n\n',
  )
})

test('words that are said in one turn of the event loop arrive in one chunk', async () => {
  const words = Array.from({ length: 50 }, (_, index) => `w${index} `)
  const target = await start({ model: new FakeModel({ script: sayWords(words) }) })
  const client = await openStream(target)
  await client.until(() => client.received.includes('0\r\n\r\n'))
  expect(unchunk(client.received).split('\n\n')).toHaveLength(1 + 50 + 1 + 1 + 1)
  expect(client.received.match(/^[0-9a-f]+\r$/gm)?.length).toBeLessThanOrEqual(3)
})

const thinkWords: Script = async function* (request, signal) {
  for await (const event of sayWords(['a', 'b', 'c', 'd'])(request, signal))
    yield event.type === 'text-delta' ? { ...event, type: 'reasoning-delta' } : event
}

test.each([
  ['text', sayWords(['a', 'b', 'c', 'd'])],
  ['reasoning', thinkWords],
])(
  'answers that would hold too many logprobs of %s together are refused as overloaded and stopped; what one held is given back',
  async (_, script) => {
    const model = new FakeModel({ script })
    const target = await start({ model, options: { maxHeldLogprobEntries: 12 } })
    const withTop = (numTop: number, n: number): string =>
      JSON.stringify({ ...(JSON.parse(BODY) as object), logprobs: true, top_logprobs: numTop, n })
    for (let count = 0; count < 3; count++) expect((await ask(target.port, post({ body: withTop(2, 1) }))).status).toBe(200)
    const answer = await ask(target.port, post({ body: withTop(2, 2) }))
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([503, { error: { code: 'overloaded' } }])
    await expect.poll(() => model.numRunning).toBe(0)
    expect((await ask(target.port, post({ body: withTop(2, 1) }))).status).toBe(200)
  },
)

test('drain: new work is refused, running streams end by themselves within the grace', async () => {
  let speak = true
  const script: Script = async function* () {
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    while (speak) {
      yield { type: 'text-delta', choice: 0, text: 'a', logprobs: null }
      await delay(5)
    }
    yield { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null }
    yield { type: 'response-end', usage: { promptTokens: 1, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 1, reasoningTokens: 0 } }
  }
  const target = await start({ model: new FakeModel({ script }) })
  const client = await openStream(target)
  const idle = await RawClient.open(target.port)
  idle.send('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await idle.answer()
  await client.until(() => client.received.includes('"a"'))
  const closed = target.server.close({ graceMs: 10_000 })
  await expect(RawClient.open(target.port)).rejects.toThrow('ECONNREFUSED')
  expect(await idle.untilClosed()).toBe(true)
  client.send(post({ body: BODY }))
  await delay(20)
  speak = false
  await closed
  expect(await client.untilClosed()).toBe(true)
  expect(client.received).toContain('data: [DONE]')
  const [stream = '', refusal = ''] = client.received.split('data: [DONE]')
  expect(stream).not.toContain('"error"')
  expect(refusal).toContain('HTTP/1.1 503 ')
  expect(refusal).toContain('"code":"shutting_down"')
  expect(target.model.requests).toHaveLength(1)
})

test('drain: what still runs after the grace ends with a shutting_down error and no [DONE]', async () => {
  const target = await start({ model: new FakeModel({ script: speakForEver(5) }) })
  const streaming = await openStream(target)
  await streaming.until(() => streaming.received.includes('on '))
  target.model.script = sayNothing
  const waiting = await openStream(target, BODY)
  await waiting.until(() => target.model.numRunning === 2)
  await target.server.close({ graceMs: 50 })
  expect(await streaming.untilClosed()).toBe(true)
  expect(streaming.received).toContain(
    'data: {"error":{"message":"the server is shutting down","type":"server_error","param":null,"code":"shutting_down"}}',
  )
  expect(streaming.received).not.toContain('[DONE]')
  expect((await waiting.answer()).status).toBe(503)
  expect(target.model.aborts).toMatchObject([{ code: 'shutting_down' }, { code: 'shutting_down' }])
  expect(target.model.numRunning).toBe(0)
})

test('a deadline cuts a connection whose answer nobody reads', async () => {
  const counter = { numEvents: 0 }
  const model = new FakeModel({ script: flood(counter) })
  const target = await start({ model, options: { requestTimeoutMs: 200, cutAfterAbortMs: 300 } })
  const client = await openStream(target)
  await client.until(() => client.received.length > 0)
  client.socket.pause()
  expect(await client.until(() => target.lines.some(({ message }) => message === 'request'))).toBe(true)
  await expect.poll(() => model.numRunning).toBe(0)
  client.destroy()
})

test('a stream that drains many times leaves no listeners behind', async () => {
  const warnings: string[] = []
  const onWarning = (warning: Error): void => {
    warnings.push(warning.message)
  }
  process.on('warning', onWarning)
  const target = await start({ model: new FakeModel({ script: flood({ numEvents: 0 }) }), options: { streamBufferBytes: 1 } })
  const client = await openStream(target)
  await client.until(() => client.received.length > 20_000_000)
  client.destroy()
  await delay(10)
  process.off('warning', onWarning)
  expect(warnings).toEqual([])
})

test('both loopback addresses are served and both stop listening when the server drains', async () => {
  const target = await start({ model: new FakeModel({ script: speakForEver(5) }), options: { host: 'localhost' } })
  const client = await openStream(target)
  await client.until(() => client.received.includes('on '))
  const reach = async (host: string): Promise<number | string> => {
    const { promise, resolve } = Promise.withResolvers<number | string>()
    // A connection of its own: one that is idle is still answered for a moment.
    get({ host, port: target.port, path: '/healthz', agent: false }, (response) => resolve(response.resume().statusCode!)).on('error', () =>
      resolve('refused'),
    )
    return promise
  }
  const hasIpv6 = !target.lines.some(({ message }) => message === 'not listening on ::1')
  expect(await reach('::1')).toBe(hasIpv6 ? 200 : 'refused')
  const closed = target.server.close({ graceMs: 200 })
  await delay(20)
  expect(await reach('127.0.0.1')).toBe('refused')
  expect(await reach('::1')).toBe('refused')
  await closed
  expect(client.received.includes('shutting_down') || (await client.untilClosed())).toBe(true)
})

test('bodies that would not fit in memory together are refused as overloaded, one alone is served', async () => {
  const target = await start({ options: { maxBufferedBodyBytes: 40_000 } })
  const big = BODY.padEnd(18_000)
  const holding = await RawClient.open(target.port)
  holding.send(post({ body: big }).slice(0, -1))
  await delay(50)
  const answer = await ask(target.port, post({ body: big }))
  expect([answer.status, JSON.parse(answer.body)]).toMatchObject([503, { error: { code: 'overloaded' } }])
  holding.send(' ')
  expect((await holding.answer()).status).toBe(200)
  expect((await ask(target.port, post({ body: big }))).status).toBe(200)
  holding.destroy()
})
