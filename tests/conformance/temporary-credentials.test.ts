/** Temporary credentials as the official clients send them: whose they are, how long they are good, and everything that is none. */
import { Sha256 } from '@aws-crypto/sha256-js'
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from '@aws-sdk/client-bedrock-runtime'
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { SignatureV4 } from '@smithy/signature-v4'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { TemporaryCredentials } from '#contract/temporary-credentials'
import { type KeyedServer, startKeyedServer, TERMS } from './keyed-server.ts'

let target: KeyedServer

beforeAll(async () => {
  target = await startKeyedServer()
})
/** Failures of one test count for nothing in the next. */
afterEach(() => target.clock.advance(120_000))
afterAll(() => target.stop())

type Credentials = Pick<TemporaryCredentials, 'accessKeyId' | 'secretAccessKey'> & { readonly sessionToken?: string }

async function signingKey(terms: Partial<typeof TERMS> = {}): Promise<{ readonly id: string; readonly long: Credentials }> {
  const made = await target.keys.create('signing', { ...TERMS, ...terms })
  if (made.kind !== 'signing') throw new Error('kind')
  return { id: made.id, long: { accessKeyId: made.id, secretAccessKey: made.secret } }
}

/** The clock of the server runs ahead of the client's as far as the test has moved it. */
function clientOf(credentials: Credentials, overrides: object = {}): BedrockRuntimeClient {
  return new BedrockRuntimeClient({
    endpoint: target.url,
    region: 'us-east-1',
    credentials,
    maxAttempts: 3,
    systemClockOffset: aheadMs,
    ...overrides,
  })
}

let aheadMs = 0
async function advance(durationMs: number): Promise<void> {
  await target.clock.advance(durationMs)
  aheadMs += durationMs
}
afterEach(() => void (aheadMs += 120_000))

const converse = (modelId = 'fake-model') => new ConverseCommand({ modelId, messages: [{ role: 'user', content: [{ text: 'Hi' }] }] })

/** Name, status and attempts of a refusal. */
async function refusalOf(credentials: Credentials, overrides: object = {}): Promise<readonly unknown[]> {
  const error = await clientOf(credentials, overrides)
    .send(converse())
    .then(
      () => null,
      (thrown: { name: string; $metadata: { httpStatusCode: number; attempts: number } }) => thrown,
    )
  return error === null ? ['none'] : [error.name, error.$metadata.httpStatusCode, error.$metadata.attempts]
}

const STRANGER = ['UnrecognizedClientException', 403, 1]

test('the AWS clients call with temporary credentials over HTTP/2 and HTTP/1.1, whole and streamed', async () => {
  const { id } = await signingKey()
  const session = await target.keys.issue(id, 900)
  for (const handler of [{}, { requestHandler: new NodeHttpHandler() }]) {
    const client = clientOf(session, handler)
    expect((await client.send(converse())).stopReason).toBe('end_turn')
    const { stream } = await client.send(new ConverseStreamCommand(converse().input))
    const kinds: string[] = []
    for await (const event of stream!) kinds.push(Object.keys(event)[0]!)
    expect(kinds.at(-1)).toBe('metadata')
  }
  const at = { endpoint: target.url, region: 'eu-west-1', systemClockOffset: aheadMs }
  const sagemaker = new SageMakerRuntimeClient({ ...at, credentials: session, maxAttempts: 1 })
  const invocation = new InvokeEndpointCommand({ EndpointName: 'fake-model', ContentType: 'application/json', Body: '{"inputs":"Hi"}' })
  expect((await sagemaker.send(invocation)).$metadata.httpStatusCode).toBe(200)
  expect((await target.keys.get(id)).id).toBe(id)
})

test('without its token, with the token of another, with a changed one and with a wrong secret a session is refused once, by name', async () => {
  const [one, two] = [await signingKey(), await signingKey()]
  const [session, other] = [await target.keys.issue(one.id, 900), await target.keys.issue(two.id, 900)]
  const { sessionToken, ...bare } = session
  const refusals: readonly (readonly [Credentials, readonly unknown[]])[] = [
    [bare, STRANGER],
    [{ ...session, sessionToken: other.sessionToken }, STRANGER],
    [{ ...session, accessKeyId: other.accessKeyId }, STRANGER],
    [{ ...session, sessionToken: `${sessionToken}A` }, STRANGER],
    [{ ...session, sessionToken: 'a'.repeat(4096) }, STRANGER],
    [{ ...one.long, sessionToken }, STRANGER],
    [{ ...session, secretAccessKey: other.secretAccessKey }, ['InvalidSignatureException', 403, 1]],
    [{ ...session, secretAccessKey: one.long.secretAccessKey }, ['InvalidSignatureException', 403, 1]],
  ]
  for (const [credentials, refusal] of refusals) expect(await refusalOf(credentials)).toEqual(refusal)
  expect(await refusalOf(session)).toEqual(['none'])
  const log = JSON.stringify([target.lines, target.failures])
  for (const secret of [sessionToken, session.secretAccessKey]) expect(log).not.toContain(secret)
})

test('credentials that have ended are refused by that name and not sent again', async () => {
  const { id } = await signingKey()
  const session = await target.keys.issue(id, 900)
  await advance(899_000)
  expect(await refusalOf(session)).toEqual(['none'])
  await advance(1000)
  expect(await refusalOf(session)).toEqual(['ExpiredTokenException', 403, 1])
  expect(target.failures.at(-1)?.details).toEqual({ reason: 'session_expired', key: id })
  const response = await signedModels(session)
  expect([response.status, await response.json()]).toMatchObject([
    401,
    { error: { code: 'invalid_api_key', message: expect.stringContaining('has expired') } },
  ])
})

test('what ends a key ends its sessions within five seconds', async () => {
  const [revoked, ending, rotated] = [await signingKey(), await signingKey({ expiresMs: Date.now() + aheadMs + 60_000 }), await signingKey()]
  const sessions = await Promise.all([revoked, ending, rotated].map(({ id }) => target.keys.issue(id, 3600)))
  for (const session of sessions) expect(await refusalOf(session)).toEqual(['none'])
  expect(sessions[1]!.expiresMs).toBe((await target.keys.get(ending.id)).expiresMs)
  await target.keys.revoke(revoked.id)
  await target.keys.rotate(rotated.id, 0)
  await advance(5000)
  expect(await refusalOf(sessions[0]!)).toEqual(STRANGER)
  expect(await refusalOf(sessions[1]!)).toEqual(['none'])
  expect(await refusalOf(sessions[2]!)).toEqual(STRANGER)
  await advance(60_000)
  expect(await refusalOf(sessions[1]!)).toEqual(STRANGER)
  for (const { id } of [revoked, ending, rotated]) await expect(target.keys.issue(id, 900)).rejects.toMatchObject({ code: 'conflict' })
})

test('a session has the scopes and models of its key', async () => {
  const [reader, bound] = [await signingKey({ scopes: ['read'] }), await signingKey({ models: ['other'] })]
  const [reading, binding] = [await target.keys.issue(reader.id, 900), await target.keys.issue(bound.id, 900)]
  expect(await refusalOf(reading)).toEqual(['AccessDeniedException', 403, 1])
  expect(target.scopeRefusals.at(-1)).toMatchObject({ keyId: reader.id })
  expect((await refusalOf(binding)).slice(0, 2)).toEqual(['ResourceNotFoundException', 404])
})

function signerOf(credentials: Credentials): SignatureV4 {
  return new SignatureV4({ credentials, region: 'us-east-1', service: 'execute-api', sha256: Sha256 })
}

function modelsRequest() {
  const { hostname, port, host } = new URL(target.url)
  return { method: 'GET', protocol: 'http:', hostname, port: Number(port), path: '/v1/models', headers: { host }, query: {} }
}

async function signedModels(credentials: Credentials): Promise<Response> {
  const { headers } = await signerOf(credentials).sign(modelsRequest(), { signingDate: new Date(Date.now() + aheadMs) })
  return fetch(`${target.url}/v1/models`, { headers })
}

async function presigned(credentials: Credentials, change: (query: URLSearchParams) => void = () => {}, headers: Record<string, string> = {}) {
  const signed = await signerOf(credentials).presign(modelsRequest(), { signingDate: new Date(Date.now() + aheadMs), expiresIn: 3600 })
  const query = new URLSearchParams(signed.query as Record<string, string>)
  change(query)
  const response = await fetch(`${target.url}/v1/models?${query.toString()}`, { headers })
  return [response.status, ((await response.json()) as { error?: { message: string } }).error?.message]
}

test('a presigned URL carries its token in the signed part of the query, and ends with the session', async () => {
  const { id, long } = await signingKey({ scopes: ['inference', 'read'] })
  const [session, other] = [await target.keys.issue(id, 900), await target.keys.issue(id, 900)]
  expect(await presigned(session)).toEqual([200, undefined])
  const refused = [401, 'the security token is not valid']
  expect(await presigned(session, (query) => query.set('X-Amz-Security-Token', other.sessionToken))).toEqual(refused)
  expect(await presigned(long, (query) => query.set('X-Amz-Security-Token', session.sessionToken))).toEqual(refused)
  const missing = [401, 'temporary credentials need their security token: none came with this request']
  expect(await presigned(session, (query) => query.delete('X-Amz-Security-Token'))).toEqual(missing)
  const late = await presigned({ ...session, sessionToken: '' }, (query) => query.set('X-Amz-Security-Token', session.sessionToken))
  expect(late).toEqual([401, 'the request signature does not match: check the secret key and the signing method'])
  const twice = { 'x-amz-security-token': session.sessionToken }
  expect(await presigned(session, () => {}, twice)).toEqual([401, 'X-Amz-Security-Token is given twice'])
  await advance(900_000)
  expect(await presigned(session)).toEqual([401, 'the security token has expired: get new temporary credentials'])
})

test('who comes with a session of a key that is known passes from an address that others guess from', async () => {
  const { id, long } = await signingKey()
  const session = await target.keys.issue(id, 900)
  expect(await refusalOf(long)).toEqual(['none'])
  for (let index = 0; index < 61; index++) await fetch(`${target.url}/v1/models`, { headers: { authorization: `Bearer ${index}` } })
  expect((await fetch(`${target.url}/v1/models`, { headers: { authorization: 'Bearer 61' } })).status).toBe(429)
  expect(await refusalOf(session)).toEqual(['none'])
})

test('GetSessionToken is for who signs with a key: a bearer key and the caller of an open server are denied', async () => {
  const made = await target.keys.create('bearer', TERMS)
  if (made.kind !== 'bearer') throw new Error('kind')
  const form = { 'content-type': 'application/x-www-form-urlencoded', 'x-api-key': made.token }
  const ask = async (url: string): Promise<string> => {
    const response = await fetch(url, { method: 'POST', headers: form, body: 'Action=GetSessionToken&Version=2011-06-15' })
    return `${response.status} ${await response.text()}`
  }
  expect(await ask(target.url)).toMatch(/^403 .*<Code>AccessDenied<\/Code>.*is no signing key/)
  const open = await startKeyedServer({ isRequired: false })
  expect(await ask(open.url)).toMatch(/^403 .*<Code>AccessDenied<\/Code>.*there is no key local/)
  await open.stop()
})
