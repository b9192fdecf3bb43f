/** The verifier against AWS's published vectors, against smithy's signer on random requests, and against every part being spoilt. */
import { Sha256 } from '@aws-crypto/sha256-js'
import { SignatureV4 } from '@smithy/signature-v4'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalRequest, sha256Hex } from './canonical-request.ts'
import { checkSignature, checkTerms, MAX_SKEW_MS } from './check-signature.ts'
import { readHeaderSignature, readPresigned, type SignedRequest } from './read-signature.ts'

const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
const NOW_MS = Date.UTC(2015, 7, 30, 12, 36)
const DATE = '20150830T123600Z'

interface Case extends SignedRequest {
  readonly body: string
}

function signatureOf(request: SignedRequest): ReturnType<typeof readHeaderSignature> {
  const index = request.rawHeaders.findIndex((name) => name.toLowerCase() === 'authorization')
  return index < 0 ? readPresigned(request) : readHeaderSignature(request, request.rawHeaders[index + 1]!)
}

async function check(request: Case, { nowMs = NOW_MS, secret = SECRET, region = null as string | null, services = ['service', 'bedrock'] } = {}) {
  const signature = signatureOf(request)
  checkTerms(signature, request, { nowMs, region, services })
  await checkSignature(signature, request, { secret, readBody: async () => Buffer.from(request.body) })
}

async function verdict(request: Case, terms: Parameters<typeof check>[1] = {}): Promise<string> {
  return check(request, terms).then(
    () => 'good',
    (error: { code: string }) => error.code,
  )
}

const latin1 = (text: string): string => Buffer.from(text).toString('latin1')

/** From the public aws4_testsuite: name, method, target, further headers, body, signed headers, signature. */
const VECTORS: readonly (readonly [string, string, string, readonly string[], string, string, string])[] = [
  ['get-vanilla', 'GET', '/', [], '', '', '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
  ['get-slashes', 'GET', '//', [], '', '', '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
  ['get-relative', 'GET', '/example/..', [], '', '', '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
  ['get-slash-dot-slash', 'GET', '/./', [], '', '', '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
  ['get-utf8', 'GET', '/ሴ', [], '', '', '8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85'],
  ['get-space', 'GET', '/example space/', [], '', '', '652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741'],
  [
    'get-unreserved',
    'GET',
    '/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz',
    [],
    '',
    '',
    '07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f',
  ],
  [
    'get-vanilla-query-order-key-case',
    'GET',
    '/?Param2=value2&Param1=value1',
    [],
    '',
    '',
    'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
  ],
  ['get-vanilla-empty-query-key', 'GET', '/?Param1=value1', [], '', '', 'a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb'],
  [
    'get-vanilla-query-unreserved',
    'GET',
    '/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz',
    [],
    '',
    '',
    '9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197',
  ],
  [
    'get-header-key-duplicate',
    'GET',
    '/',
    ['My-Header1', 'value2', 'My-Header1', 'value2', 'My-Header1', 'value1'],
    '',
    'my-header1;',
    'c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea',
  ],
  [
    'get-header-value-order',
    'GET',
    '/',
    ['My-Header1', 'value4', 'My-Header1', 'value1', 'My-Header1', 'value3', 'My-Header1', 'value2'],
    '',
    'my-header1;',
    '08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01',
  ],
  [
    'get-header-value-trim',
    'GET',
    '/',
    ['My-Header1', ' value1', 'My-Header2', ' "a   b   c"'],
    '',
    'my-header1;my-header2;',
    'acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736',
  ],
  ['post-vanilla', 'POST', '/', [], '', '', '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
  [
    'post-x-www-form-urlencoded',
    'POST',
    '/',
    ['Content-Type', 'application/x-www-form-urlencoded'],
    'Param1=value1',
    'content-type;',
    'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
  ],
]

describe('the public SigV4 vectors', () => {
  for (const [name, method, target, extra, body, names, signature] of VECTORS) {
    test(name, async () => {
      const signed = names === '' ? 'host;x-amz-date' : [...names.split(';').filter(Boolean), 'host', 'x-amz-date'].sort().join(';')
      const authorization = `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=${signed}, Signature=${signature}`
      const rawHeaders = ['Host', 'example.amazonaws.com', ...extra, 'X-Amz-Date', DATE, 'Authorization', authorization]
      await check({ method, url: latin1(target), rawHeaders, body })
    })
  }
})

interface RandomRequest {
  readonly path: string
  readonly query: Record<string, string | string[]>
  readonly headers: Record<string, string>
  readonly body: string
  readonly claimsHash: boolean
}

const word = fc.string({ unit: 'grapheme', maxLength: 8 }).filter((text) => text.isWellFormed())
const segment = fc.oneof(word, fc.constantFrom('', 'a%b', 'x y', '~', "it's(1)*!", 'arn:aws:bedrock:us-east-1::model/m', '..a'))
const headerValue = fc.stringMatching(/^[!-~]( {0,3}[!-~]){0,12}$/)
const requests: fc.Arbitrary<RandomRequest> = fc.record({
  path: fc.array(segment, { maxLength: 5 }).map((parts) => `/${parts.map(encodeURIComponent).join('/')}`),
  query: fc.dictionary(word, fc.oneof(word, fc.array(word, { minLength: 1, maxLength: 3 })), { maxKeys: 4, noNullPrototype: true }),
  headers: fc.dictionary(
    fc.stringMatching(/^x-[a-z]{1,8}$/).filter((name) => name !== 'x-amz'),
    headerValue,
    { maxKeys: 3, noNullPrototype: true },
  ),
  body: fc.string({ unit: 'grapheme', maxLength: 40 }),
  claimsHash: fc.boolean(),
})

function signer(applyChecksum = false): SignatureV4 {
  return new SignatureV4({
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: SECRET },
    region: 'us-east-1',
    service: 'bedrock',
    sha256: Sha256,
    applyChecksum,
  })
}

function escape(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** As a client puts a query on the wire, in no particular order. */
function queryText(query: Record<string, string | string[] | null>): string {
  return Object.entries(query)
    .reverse()
    .flatMap(([name, value]) => [value].flat().map((one) => `${escape(name)}=${escape(one ?? '')}`))
    .join('&')
}

function unsigned({ path, query, headers, body }: RandomRequest) {
  return {
    method: 'POST',
    protocol: 'https:',
    hostname: 'localhost',
    path,
    query,
    headers: { host: 'localhost:8484', 'content-type': 'application/json', ...headers },
    body,
  }
}

async function signed(request: RandomRequest): Promise<Case> {
  const { method, path, query, headers, body } = (await signer(request.claimsHash).sign(unsigned(request), {
    signingDate: new Date(NOW_MS),
  })) as ReturnType<typeof unsigned>
  const text = queryText(query)
  return { method, url: text === '' ? path : `${path}?${text}`, rawHeaders: Object.entries(headers).flat(), body }
}

describe("smithy's signer", () => {
  test('signs what is good here, on 3,000 random requests, and no spoilt part of them is', async () => {
    const property = fc.asyncProperty(requests, fc.nat(4), async (request, part) => {
      const good = await signed(request)
      expect(await verdict(good)).toBe('good')
      const spoilt: readonly Case[] = [
        { ...good, body: `${good.body}x` },
        { ...good, method: 'PUT' },
        { ...good, url: good.url.includes('?') ? `${good.url}&a=1` : `${good.url}?a=1` },
        { ...good, url: `/model${good.url}` },
        { ...good, rawHeaders: good.rawHeaders.map((value) => (value === 'application/json' ? 'text/plain' : value)) },
      ]
      expect(await verdict(spoilt[part]!)).toBe('signature_mismatch')
      expect(await verdict(good, { secret: `${SECRET}x` })).toBe('signature_mismatch')
    })
    await fc.assert(property, { numRuns: 3000, seed: 4 })
  })

  test('presigns URLs that are good until they expire, and not with another query', async () => {
    const property = fc.asyncProperty(requests, async (request) => {
      const presigned = await signer().presign(unsigned({ ...request, claimsHash: false }), { signingDate: new Date(NOW_MS), expiresIn: 600 })
      const url = `${presigned.path}?${queryText(presigned.query as Record<string, string>)}`
      const good: Case = { method: 'POST', url, rawHeaders: Object.entries(presigned.headers).flat(), body: request.body }
      expect(await verdict(good, { nowMs: NOW_MS + 600_000 })).toBe('good')
      expect(await verdict(good, { nowMs: NOW_MS + 600_001 })).toBe('signature_expired')
      expect(await verdict({ ...good, url: `${url}&a=1` })).toBe('signature_mismatch')
      expect(await verdict({ ...good, body: `${good.body}x` })).toBe('signature_mismatch')
    })
    await fc.assert(property, { numRuns: 300, seed: 5 })
  })
})

describe('the terms of a signature', () => {
  const plain: RandomRequest = { path: '/model/m/converse', query: {}, headers: {}, body: '{}', claimsHash: true }
  const withHeader = (request: Case, name: string, value: string): Case => ({ ...request, rawHeaders: [...request.rawHeaders, name, value] })
  const changed = (request: Case, from: RegExp, to: string): Case => ({
    ...request,
    rawHeaders: request.rawHeaders.map((value) => value.replace(from, to)),
  })

  test('it is five minutes old or ahead at most', async () => {
    const good = await signed(plain)
    for (const skewMs of [-MAX_SKEW_MS, MAX_SKEW_MS]) expect(await verdict(good, { nowMs: NOW_MS + skewMs })).toBe('good')
    for (const skewMs of [-1_200_000, -360_000, -300_001, 300_001, 360_000, 1_200_000]) {
      expect(await verdict(good, { nowMs: NOW_MS + skewMs })).toBe('signature_expired')
    }
  })

  test('its date, region and service are those of the request', async () => {
    const good = await signed(plain)
    expect(await verdict(changed(good, /\/20150830\//, '/20150829/'))).toBe('signature_mismatch')
    await expect(check(good, { region: 'eu-west-1' })).rejects.toThrow("scoped to a valid region, such as 'eu-west-1'")
    await expect(check(good, { services: ['sagemaker'] })).rejects.toThrow("scoped to correct service: 'sagemaker'")
  })

  test('what it lacks is named', async () => {
    const good = await signed(plain)
    const lacks: readonly (readonly [RegExp, string, string])[] = [
      [/Credential=[^,]*, /, '', 'needs Credential'],
      [/SignedHeaders=[^,]*, /, '', 'needs SignedHeaders'],
      [/, Signature=.*/, '', 'needs Signature'],
      [/Signature=.*/, 'Signature=abc', '64 hexadecimal digits'],
      [/\/aws4_request/, '', 'KEY/YYYYMMDD/REGION/SERVICE'],
      [/^20150830T123600Z$/, '2015-08-30', 'x-amz-date'],
      [/;host/, '', 'must contain host'],
      [/AWS4-HMAC-SHA256 /, 'AWS4-ECDSA-P256-SHA256 ', 'must begin with'],
    ]
    for (const [from, to, words] of lacks) {
      const spoilt = changed(good, from, to)
      expect(await verdict(spoilt)).toBe('incomplete_signature')
      await expect(check(spoilt)).rejects.toThrow(words)
    }
  })

  test('headers of AWS are signed or refused', async () => {
    await expect(check(withHeader(await signed(plain), 'X-Amz-Target', 'Delete'))).rejects.toThrow('not signed: x-amz-target')
  })

  test('unsigned bodies and bodies signed in chunks are refused by name', async () => {
    for (const [word, words] of [
      ['UNSIGNED-PAYLOAD', 'UNSIGNED-PAYLOAD is not accepted'],
      ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'signed in chunks'],
      ['STREAMING-UNSIGNED-PAYLOAD-TRAILER', 'signed in chunks'],
      ['STREAMING-AWS4-HMAC-SHA256-EVENTS', 'signed in chunks'],
      ['abc', '64 hexadecimal digits'],
    ]) {
      const request = await signed({ ...plain, headers: { 'x-amz-content-sha256': word! } })
      expect(await verdict(request)).toBe('signature_mismatch')
      await expect(check(request)).rejects.toThrow(words)
    }
  })

  test('a body whose hash was told is read only when the signature over the hash is good', async () => {
    const good = await signed(plain)
    let numReads = 0
    const readBody = async () => (numReads++, Buffer.from(good.body))
    await expect(checkSignature(signatureOf(good), good, { secret: 'other', readBody })).rejects.toMatchObject({ code: 'signature_mismatch' })
    expect(numReads).toBe(0)
    await checkSignature(signatureOf(good), good, { secret: SECRET, readBody })
    expect(numReads).toBe(1)
  })

  test('a space is one character whether it is sent as + or as %20, and a + is another', async () => {
    const good = await signed({ ...plain, query: { q: 'a b', r: '+' } })
    expect(good.url).toContain('q=a%20b')
    expect(await verdict({ ...good, url: good.url.replace('a%20b', 'a+b') })).toBe('good')
    expect(await verdict({ ...good, url: good.url.replace('a%20b', 'a%2Bb') })).toBe('signature_mismatch')
    expect(await verdict({ ...good, url: good.url.replace('r=%2B', 'r=+') })).toBe('signature_mismatch')
  })

  test('a header value in UTF-8 keeps its bytes, blanks of other alphabets too', () => {
    const value = latin1('voilà\u00a0 \u00a0x')
    const canonical = canonicalRequest({
      method: 'GET',
      path: '/',
      query: '',
      headers: [{ name: 'x-note', values: [value] }],
      payloadHash: sha256Hex(''),
    })
    expect(canonical).toContain(`x-note:${value}\n`)
  })
})
