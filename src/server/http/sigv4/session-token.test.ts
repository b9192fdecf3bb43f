/** Where the token of temporary credentials stands in a signed request: AWS's published vectors, and smithy's signer on random tokens. */
import { Sha256 } from '@aws-crypto/sha256-js'
import { SignatureV4 } from '@smithy/signature-v4'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkSignature, checkTerms } from './check-signature.ts'
import { readHeaderSignature, readPresigned, type SignedRequest } from './read-signature.ts'

const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
const NOW_MS = Date.UTC(2015, 7, 30, 12, 36)
/** Of the public aws4_testsuite, post-sts-token. */
const TOKEN =
  'AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdee' +
  'hM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9' +
  'Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=='

/** The token that the request carries. Throws what checking it throws. */
async function check(request: SignedRequest, nowMs = NOW_MS): Promise<string | null> {
  const index = request.rawHeaders.findIndex((name) => name.toLowerCase() === 'authorization')
  const signature = index < 0 ? readPresigned(request) : readHeaderSignature(request, request.rawHeaders[index + 1]!)
  checkTerms(signature, request, { nowMs, region: null, services: ['service'] })
  await checkSignature(signature, request, { secret: SECRET, readBody: async () => new Uint8Array() })
  return signature.sessionToken
}

function vector(names: string, signature: string): SignedRequest {
  const authorization = `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=${names}, Signature=${signature}`
  const rawHeaders = [
    'Host',
    'example.amazonaws.com',
    'X-Amz-Date',
    '20150830T123600Z',
    'X-Amz-Security-Token',
    TOKEN,
    'Authorization',
    authorization,
  ]
  return { method: 'POST', url: '/', rawHeaders }
}

test('post-sts-header-before: the token is among the signed headers', async () => {
  const good = vector('host;x-amz-date;x-amz-security-token', '85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead')
  expect(await check(good)).toBe(TOKEN)
  const other = { ...good, rawHeaders: good.rawHeaders.map((value) => (value === TOKEN ? TOKEN.replace('A', 'B') : value)) }
  await expect(check(other)).rejects.toMatchObject({ code: 'signature_mismatch' })
})

test('post-sts-header-after: a token that was added after signing is a mismatch that names it', async () => {
  const after = vector('host;x-amz-date', '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b')
  await expect(check(after)).rejects.toThrow('not signed: x-amz-security-token')
  await expect(check(after)).rejects.toMatchObject({ code: 'signature_mismatch' })
  expect(await check({ ...after, rawHeaders: after.rawHeaders.filter((value) => value !== 'X-Amz-Security-Token' && value !== TOKEN) })).toBeNull()
})

test('a header that is there twice is refused', async () => {
  const good = vector('host;x-amz-date;x-amz-security-token', '85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead')
  const twice = { ...good, rawHeaders: [...good.rawHeaders, 'x-amz-security-token', TOKEN] }
  await expect(check(twice)).rejects.toMatchObject({ code: 'incomplete_signature' })
})

function escape(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
}

test("smithy's signer, in the header and in the query: 500 random tokens arrive, and no other passes in their place", async () => {
  const tokens = fc.stringMatching(/^[\w+/=-]{1,60}$/)
  const property = fc.asyncProperty(tokens, tokens, async (sessionToken, other) => {
    const credentials = { accessKeyId: 'ASIAEXAMPLE', secretAccessKey: SECRET, sessionToken }
    const signer = new SignatureV4({ credentials, region: 'us-east-1', service: 'service', sha256: Sha256 })
    const plain = { method: 'POST', protocol: 'https:', hostname: 'h', path: '/', query: {}, headers: { host: 'h' } }
    const signingDate = new Date(NOW_MS)
    const { headers } = await signer.sign(plain, { signingDate })
    const { query } = await signer.presign(plain, { signingDate, expiresIn: 60 })
    const inHeader = (token: string): SignedRequest => {
      const rawHeaders = Object.entries({ ...headers, 'x-amz-security-token': token }).flat()
      return { method: 'POST', url: '/', rawHeaders }
    }
    const inQuery = (token: string): SignedRequest => {
      const pairs = Object.entries({ ...query, 'X-Amz-Security-Token': token }).map(([name, value]) => `${name}=${escape(String(value))}`)
      return { method: 'POST', url: `/?${pairs.join('&')}`, rawHeaders: ['host', 'h'] }
    }
    for (const carrying of [inHeader, inQuery]) {
      expect(await check(carrying(sessionToken))).toBe(sessionToken)
      if (other !== sessionToken) await expect(check(carrying(other))).rejects.toMatchObject({ code: 'signature_mismatch' })
    }
  })
  await fc.assert(property, { numRuns: 500, seed: 7 })
})
