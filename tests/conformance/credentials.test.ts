/** Who may call, in every dialect: keys and signatures as the official clients send them, and everything that is none. */
import Anthropic from '@anthropic-ai/sdk'
import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime'
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { FamilyTable } from '#server/http/family-table'
import { PROTOCOL_FAMILIES } from '#server/protocol-families'
import { type KeyedServer, startKeyedServer, TERMS } from './keyed-server.ts'
import { ask, post } from './raw-client.ts'

let target: KeyedServer
let bearer: string
let bearerId: string
let signing: { readonly accessKeyId: string; readonly secretAccessKey: string }

beforeAll(async () => {
  target = await startKeyedServer()
  const one = await target.keys.create('bearer', TERMS)
  const two = await target.keys.create('signing', TERMS)
  if (one.kind !== 'bearer' || two.kind !== 'signing') throw new Error('kinds')
  ;[bearer, bearerId] = [one.token, one.id]
  signing = { accessKeyId: two.id, secretAccessKey: two.secret }
})

/** Failures of one test count for nothing in the next. */
afterEach(() => target.clock.advance(120_000))
afterAll(() => target.stop())

const CHAT = { model: 'fake-model', messages: [{ role: 'user' as const, content: 'Hi' }], max_tokens: 5 }

function bedrock(credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }, overrides: object = {}): BedrockRuntimeClient {
  return new BedrockRuntimeClient({ endpoint: target.url, region: 'us-east-1', credentials, maxAttempts: 1, ...overrides })
}

function converse(): ConverseCommand {
  return new ConverseCommand({ modelId: 'fake-model', messages: [{ role: 'user', content: [{ text: 'Hi' }] }] })
}

async function chat(headers: Record<string, string>, url = '/v1/chat/completions'): Promise<{ status: number; body: string; code: string }> {
  const response = await fetch(`${target.url}${url}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(CHAT),
  })
  const body = await response.text()
  return { status: response.status, body, code: JSON.parse(body).error?.code }
}

test('the clients of OpenAI and Anthropic call with their key, and are told in their shape when it is wrong', async () => {
  const openai = new OpenAI({ apiKey: bearer, baseURL: `${target.url}/v1`, maxRetries: 0 })
  expect((await openai.chat.completions.create(CHAT)).choices).toHaveLength(1)
  const anthropic = new Anthropic({ apiKey: bearer, authToken: null, baseURL: target.url, maxRetries: 0 })
  expect((await anthropic.messages.create(CHAT)).type).toBe('message')
  const wrong = `${bearer.slice(0, -1)}${bearer.endsWith('a') ? 'b' : 'a'}`
  await expect(new OpenAI({ apiKey: wrong, baseURL: `${target.url}/v1`, maxRetries: 0 }).models.list()).rejects.toMatchObject({
    status: 401,
    code: 'invalid_api_key',
  })
  await expect(new Anthropic({ apiKey: wrong, authToken: null, baseURL: target.url, maxRetries: 0 }).messages.create(CHAT)).rejects.toMatchObject({
    status: 401,
    error: { error: { type: 'authentication_error' } },
  })
})

test('the AWS clients sign over HTTP/2 and HTTP/1.1, send a key as a bearer token, and know why they are refused', async () => {
  const fresh = await startKeyedServer()
  const made = await fresh.keys.create('signing', TERMS)
  const key = await fresh.keys.create('bearer', TERMS)
  if (made.kind !== 'signing' || key.kind !== 'bearer') throw new Error('kinds')
  const good = { accessKeyId: made.id, secretAccessKey: made.secret }
  const at = { endpoint: fresh.url }
  for (const handler of [{}, { requestHandler: new NodeHttpHandler() }]) {
    const answer = await bedrock(good, { ...at, ...handler }).send(converse())
    expect(answer.output?.message?.role).toBe('assistant')
    const refusals: readonly (readonly [Parameters<typeof bedrock>[0], string, number])[] = [
      [{ ...good, secretAccessKey: 'wrong' }, 'InvalidSignatureException', 403],
      [{ ...good, accessKeyId: 'INFERDAKUNKNOWN00000' }, 'UnrecognizedClientException', 403],
      [{ ...good, sessionToken: 'stranger' }, 'UnrecognizedClientException', 403],
    ]
    for (const [credentials, name, status] of refusals) {
      await expect(bedrock(credentials, { ...at, ...handler }).send(converse())).rejects.toMatchObject({
        name,
        $metadata: { httpStatusCode: status },
      })
    }
    const late = bedrock(good, { ...at, ...handler, systemClockOffset: -1_200_000, correctClockSkew: false })
    await expect(late.send(converse())).rejects.toMatchObject({ name: 'InvalidSignatureException' })
    const token = { token: { token: key.token }, authSchemePreference: ['httpBearerAuth'] }
    expect((await bedrock(good, { ...at, ...handler, ...token }).send(converse())).stopReason).toBe('end_turn')
  }
  const sagemaker = new SageMakerRuntimeClient({ ...at, region: 'eu-west-1', credentials: good, maxAttempts: 1 })
  const invocation = new InvokeEndpointCommand({ EndpointName: 'fake-model', ContentType: 'application/json', Body: '{"inputs":"Hi"}' })
  expect((await sagemaker.send(invocation)).$metadata.httpStatusCode).toBe(200)
  await fresh.stop()
})

/** Of a body in JSON the keys, of one in XML the elements. */
function namesIn(body: string): readonly string[] {
  // XML, JSON, CBOR.
  if (body.startsWith('<')) return body.match(/<\w+/g) ?? []
  return body.startsWith('{') ? Object.keys(JSON.parse(body)) : (body.match(/__type|message/g) ?? [])
}

test('every registered route refuses who brings no key, in the shape of its family; the probes answer', async () => {
  const families = new FamilyTable(PROTOCOL_FAMILIES)
  const error = { code: 'unauthenticated', message: '', param: null, retryAfterMs: null } as const
  for (const { name, method, path } of PROTOCOL_FAMILIES.flatMap(({ name, routes }) => routes.map((route) => ({ ...route, name })))) {
    const url = path.replace(/:\w+/g, 'x').replace('*', 'x')
    const headers = { 'content-type': name === 'sts' ? 'application/x-www-form-urlencoded' : 'application/json' }
    const response = await fetch(`${target.url}${url}`, { method, headers, ...(method === 'GET' || method === 'DELETE' ? {} : { body: '{}' }) })
    const expected = families.of(url, headers).encodeError(error, 'x')
    expect([method, path, response.status]).toEqual([method, path, expected.status])
    expect(namesIn(await response.text())).toEqual(namesIn(Buffer.from(expected.body).toString()))
    expect([401, 403]).toContain(response.status)
  }
  expect((await fetch(`${target.url}/nowhere`)).status).toBe(401)
  for (const probe of ['/healthz', '/readyz', '/ping']) expect((await fetch(`${target.url}${probe}`)).status).toBe(200)
})

test('unknown, wrong, revoked, expired and malformed keys are refused with the same words', async () => {
  const revoked = await target.keys.create('bearer', TERMS)
  const expired = await target.keys.create('bearer', { ...TERMS, expiresMs: 1 })
  if (revoked.kind !== 'bearer' || expired.kind !== 'bearer') throw new Error('kinds')
  await target.keys.revoke(revoked.id)
  const tokens = [
    `inferd_sk_${'a'.repeat(16)}_${'b'.repeat(43)}`,
    `${bearer.slice(0, -4)}0000`,
    revoked.token,
    expired.token,
    'sk-other',
    "' OR 1=1 --",
    signing.secretAccessKey,
  ]
  const answers = await Promise.all(tokens.map((token) => chat({ authorization: `Bearer ${token}` })))
  expect(new Set(answers.map(({ status, body }) => `${status} ${body}`)).size).toBe(1)
  expect(answers[0]).toMatchObject({ status: 401, code: 'invalid_api_key' })
  for (const headers of [{ authorization: 'Basic abc' }, { authorization: '' }, { 'x-api-key': '' }]) {
    expect((await chat(headers as unknown as Record<string, string>)).body).toBe(answers[0]!.body)
  }
})

test('a key with strange bytes, of a megabyte, or given twice is refused, and the server lives', async () => {
  const twice = await ask(target.port, post({ headers: [`Authorization: Bearer ${bearer}`, 'Authorization: Bearer x'], body: '{}' }))
  expect(twice.status).toBe(401)
  expect((await ask(target.port, post({ headers: ['Authorization: Bearer \u00ff\u00fe'], body: '{}' }))).status).toBe(401)
  expect((await ask(target.port, post({ headers: [`Authorization: Bearer ${'a'.repeat(1 << 20)}`], body: '{}' }))).status).toBe(431)
  expect((await ask(target.port, post({ headers: ['Authorization: Bearer a\r\n b'], body: '{}' }))).status).toBeGreaterThanOrEqual(400)
  expect((await chat({ authorization: `Bearer ${bearer}` })).status).toBe(200)
})

test('a key in the query opens nothing, and no key or signature is in any line of the log', async () => {
  for (const name of ['api_key', 'key', 'access_token', 'authorization']) {
    expect((await chat({}, `/v1/chat/completions?${name}=${bearer}`)).status).toBe(401)
  }
  await chat({ authorization: `Bearer ${bearer}` })
  await chat({ authorization: 'Bearer canary-7f3a' })
  const signed = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A/20261201/r/bedrock/aws4_request&X-Amz-Signature=${'ca'.repeat(32)}`
  await chat({}, `/v1/chat/completions?${signed}`)
  const log = JSON.stringify([target.lines, target.failures])
  for (const secret of [bearer, bearer.slice(-43), signing.secretAccessKey, 'canary-7f3a', 'ca'.repeat(32)]) expect(log).not.toContain(secret)
  expect(log).toContain('login.failed')
})

test('a revoked key is refused within five seconds', async () => {
  const made = await target.keys.create('bearer', TERMS)
  if (made.kind !== 'bearer') throw new Error('kind')
  const headers = { authorization: `Bearer ${made.token}` }
  expect((await chat(headers)).status).toBe(200)
  await target.keys.revoke(made.id)
  expect((await chat(headers)).status).toBe(200)
  await target.clock.advance(5000)
  expect((await chat(headers)).status).toBe(401)
})

test('scopes and models bound what a key opens, and a refusal is told to the audit log', async () => {
  const made = await target.keys.create('bearer', { ...TERMS, scopes: ['read'], models: ['other'] })
  const bound = await target.keys.create('bearer', { ...TERMS, models: ['other'] })
  if (made.kind !== 'bearer' || bound.kind !== 'bearer') throw new Error('kinds')
  expect((await chat({ authorization: `Bearer ${made.token}` })).status).toBe(403)
  expect(target.scopeRefusals.at(-1)).toEqual({ keyId: made.id, method: 'POST', route: '/v1/chat/completions', scope: 'inference' })
  expect(await chat({ authorization: `Bearer ${bound.token}` })).toMatchObject({ status: 404, code: 'model_not_found' })
})

test('who guesses is slowed down, and a key that is known passes from the same address', async () => {
  await chat({ authorization: `Bearer ${bearer}` })
  for (let index = 0; index < 60; index++) await chat({ authorization: `Bearer ${index}` })
  expect((await chat({ authorization: 'Bearer 61' })).status).toBe(429)
  expect((await chat({ authorization: `Bearer ${bearer}` })).status).toBe(200)
  await target.clock.advance(60_000)
  expect((await chat({ authorization: 'Bearer 62' })).status).toBe(401)
  expect(target.failures.at(-1)?.details).toEqual({ reason: 'invalid_credentials', key: null })
})

test('the time of last use is written', async () => {
  await chat({ authorization: `Bearer ${bearer}` })
  await target.clock.advance(30_000)
  for (let tries = 0; (await target.keys.get(bearerId)).lastUsedMs === null && tries < 100; tries++) await target.clock.advance(30_000)
  expect((await target.keys.get(bearerId)).lastUsedMs).not.toBeNull()
})

test('a server without keys is open to the local caller until the first key is made', async () => {
  const open = await startKeyedServer({ isRequired: false })
  const call = (): Promise<Response> => fetch(`${open.url}/v1/models`, { headers: { authorization: 'Bearer none' } })
  expect((await call()).status).toBe(200)
  const made = await open.keys.create('bearer', TERMS)
  await open.clock.advance(5000)
  expect((await call()).status).toBe(401)
  await open.keys.revoke(made.id)
  await open.clock.advance(5000)
  expect((await call()).status).toBe(401)
  await open.stop()
})
