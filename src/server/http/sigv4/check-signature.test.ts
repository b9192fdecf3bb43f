/** The verifier against AWS's published vectors, and the terms of a signature. */
import { describe, expect, test } from 'vitest'
import {
  type Case,
  check,
  latin1,
  NOW_MS,
  type RandomRequest,
  SECRET,
  signatureOf,
  signed,
  verdict,
} from '../../../../tests/sigv4/signed-requests.ts'
import { canonicalRequest, sha256Hex } from './canonical-request.ts'
import { checkSignature, MAX_SKEW_MS } from './check-signature.ts'

const DATE = '20150830T123600Z'

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
