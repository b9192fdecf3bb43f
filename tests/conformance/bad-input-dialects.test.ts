/**
 * Bad inputs of the reliability study at every route that makes a model work, in the error form of its dialect: status, name, headers that
 * tell a client what to do next. After each refusal nothing has reached the model and the next good request is answered.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ErrorCode, InferdError } from '#contract/errors'
import { bodyWith, dialectTargets, type DialectTarget, readError } from './dialect-targets.ts'
import { FakeModel, sayWords } from './fake-model.ts'
import { ask, post as rawPost } from './raw-client.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const BODY_LIMIT = 200_000
const TARGETS = dialectTargets('fake/model').map((target) => ({ ...target, title: `${target.dialect} ${target.path}${titleOf(target)}` }))

let server: TestServer

beforeAll(async () => {
  server = await startTestServer({ model: new FakeModel(), options: { bodyLimitBytes: BODY_LIMIT } })
})

beforeEach(() => {
  server.model.script = sayWords(['ok'])
  server.model.requests.length = 0
})

afterAll(() => server.server.close({ graceMs: 0 }))

function titleOf({ isStream, messages }: DialectTarget): string {
  return `${messages === null ? '' : `, ${messages}`}${isStream ? ', streamed' : ''}`
}

interface Sent {
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array<ArrayBuffer>
}

function send(target: DialectTarget, { path = target.path, headers = {}, body = JSON.stringify(target.body) }: Sent = {}): Promise<Response> {
  return fetch(`${server.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...target.headers, ...headers }, body })
}

/** Status and name of what the caller has to mend, by dialect: [a body that is no body, a field]. */
const FAULTS = {
  openai: [400, 'malformed_body', 400, /^(invalid|unsupported)_parameter$/],
  anthropic: [400, 'invalid_request_error', 400, /^invalid_request_error$/],
  bedrock: [400, 'ValidationException', 400, /^ValidationException$/],
  sagemaker: [400, 'ValidationError', 424, /^ModelError$/],
  tgi: [422, 'validation', 422, /^validation$/],
  oip: [400, '', 400, /^$/],
} as const

async function expectGood(target: DialectTarget): Promise<void> {
  const response = await send(target)
  expect([response.status, (await response.arrayBuffer()).byteLength > 0]).toEqual([200, true])
  expect(server.model.numRunning).toBe(0)
}

const NO_BODIES: readonly (readonly [string, string | Uint8Array<ArrayBuffer>])[] = [
  ['32: nothing', ''],
  ['32: null', 'null'],
  ['32: a list', '[]'],
  ['32: a text', '"x"'],
  ['32: a half', '{"messages": ['],
  ['32: more than one value', '{} {}'],
  ['32: a byte order mark', '\ufeff{}'],
  ['32: bytes that are not UTF-8', Uint8Array.of(0x7b, 0xff, 0x7d)],
  ['33: nesting without end', `{"a":${'['.repeat(100_000)}`],
  ['34: a key twice', '{"messages":[],"messages":[]}'],
]

/** As JSON text, at the place of the output limit. */
const NO_LIMITS = ['0', '-1', '1.5', '"10"', '1e309', '9007199254740993', 'true', '[4]', '{}']
const NO_TEMPERATURES = ['-1', '1e9', '"NaN"', '1e309', '[]', 'true']
const NO_MESSAGES = ['[]', '[null]', '["x"]', '[{}]', '[{"role":"nobody","content":"x"}]', '[{"role":"user","content":[7]}]', '7']

describe.each(TARGETS)('$title', (target) => {
  const [bodyStatus, bodyType, fieldStatus, fieldType] = FAULTS[target.dialect]

  async function expectFieldRefused(keys: readonly string[], json: string): Promise<void> {
    const response = await send(target, { body: bodyWith(target, keys, json) })
    const { message, type } = await readError(target, response)
    expect([json, response.status], message).toEqual([json, fieldStatus])
    expect(type).toMatch(fieldType)
    expect(message).toContain(keys.at(-1))
  }

  test('32, 33, 34: what is no JSON object', async () => {
    for (const [name, body] of NO_BODIES) {
      const response = await send(target, { body })
      const { type } = await readError(target, response)
      expect([name, response.status, type]).toEqual([name, bodyStatus, bodyType])
    }
    expect(server.model.requests).toEqual([])
    await expectGood(target)
  })

  test.runIf(target.maxTokens !== null)('36, 37: numbers that are none, at the output limit', async () => {
    for (const json of NO_LIMITS) await expectFieldRefused(target.maxTokens!, json)
    expect(server.model.requests).toEqual([])
    await expectGood(target)
  })

  test.runIf(target.temperature !== null)('42: temperatures out of range', async () => {
    for (const json of NO_TEMPERATURES) await expectFieldRefused(target.temperature!, json)
    expect(server.model.requests).toEqual([])
  })

  test.runIf(target.messages !== null)('48: conversations that are none', async () => {
    for (const json of NO_MESSAGES) await expectFieldRefused([target.messages!], json)
    expect(server.model.requests).toEqual([])
    await expectGood(target)
  })

  test('35, 57: keys of prototypes and unknown fields change nothing', async () => {
    for (const key of ['__proto__', 'constructor', 'oops']) {
      const response = await send(target, { body: bodyWith(target, [`${key}`], '{"polluted":true}') })
      if (response.status === 200) await response.arrayBuffer()
      else expect((await readError(target, response)).message).toContain(key)
      expect(({} as { readonly polluted?: true }).polluted).toBeUndefined()
    }
    await expectGood(target)
  })

  test('7, 8, 9, 12: bodies and headers around them', async () => {
    const refusals: readonly (readonly [Sent, number])[] = [
      [{ body: JSON.stringify({ ...target.body, pad: 'x'.repeat(BODY_LIMIT) }) }, 413],
      [{ headers: { 'content-encoding': 'br' } }, 415],
      [{ headers: { 'content-type': 'text/plain' } }, 415],
      [{ headers: { 'content-type': 'application/json; charset=latin1' } }, 415],
      [{ headers: { origin: 'http://evil.example' } }, 403],
    ]
    for (const [sent, status] of refusals) {
      const response = await send(target, sent)
      await readError(target, response)
      expect([Object.values(sent.headers ?? {}), response.status]).toEqual([Object.values(sent.headers ?? {}), status])
    }
    const evil = await ask(
      server.port,
      rawPost({ path: target.path, host: 'evil.example', body: '{}', headers: Object.entries(target.headers).map((pair) => pair.join(': ')) }),
    )
    await readError(target, new Response(evil.body, { status: evil.status, headers: evil.headers }))
    expect(evil.status).toBe(421)
    expect(server.model.requests).toEqual([])
    await expectGood(target)
  })

  test('20: names of models are names', async () => {
    for (const name of ["' OR 1=1 --", '../../etc/passwd', 'x'.repeat(500), '\u{202e}model']) {
      const sent: Sent =
        target.model === 'body'
          ? { body: bodyWith(target, ['model'], JSON.stringify(name)) }
          : target.model === 'path'
            ? { path: target.path.replace(/(?<=^\/(?:v2\/models|model|endpoints)\/)[^/]+/, encodeURIComponent(name)) }
            : { headers: { 'x-inferd-model': encodeURIComponent(name) } }
      const response = await send(target, sent)
      await readError(target, response)
      expect([400, 404]).toContain(response.status)
    }
    expect(server.model.requests).toEqual([])
  })

  test('terms that are none are refused by the name of their header', async () => {
    for (const header of ['x-inferd-tier', 'x-inferd-truncation', 'x-inferd-cache', 'x-inferd-guardrail']) {
      const response = await send(target, { headers: { [header]: '; no such word' } })
      const { message } = await readError(target, response)
      expect(response.status, message).toBeLessThan(430)
      expect(message).toContain(header)
    }
    expect(server.model.requests).toEqual([])
  })

  test.runIf(target.path !== '/v1/embeddings')('89, 95: what fails before the first word has a status, and says when to come back', async () => {
    const codes: readonly ErrorCode[] = [
      'overloaded',
      'rate_limited',
      'model_loading',
      'context_length_exceeded',
      'budget_exceeded',
      'replica_lost',
      'internal',
    ]
    for (const code of codes) {
      server.model.script = async function* () {
        yield* []
        throw new InferdError(code, `words of ${code}`, code === 'overloaded' || code === 'rate_limited' ? { retryAfterMs: 6500 } : {})
      }
      const response = await send(target)
      await readError(target, response)
      expect(response.status, code).toBeGreaterThanOrEqual(400)
      const retryAfter = response.headers.get('retry-after')
      if (code === 'overloaded' || code === 'rate_limited') expect([code, retryAfter]).toEqual([code, '7'])
      else if (code === 'model_loading') expect([code, retryAfter]).toEqual([code, '1'])
      else if (code !== 'replica_lost' && code !== 'internal') expect([code, retryAfter]).toEqual([code, null])
    }
    server.model.script = sayWords(['ok'])
    await expectGood(target)
  })
})
