/** Requests signed by smithy's signer, drawn at random or as said, and what our verifier says of one. */
import { Sha256 } from '@aws-crypto/sha256-js'
import { SignatureV4 } from '@smithy/signature-v4'
import fc from 'fast-check'
import { checkSignature, checkTerms } from '../../src/server/http/sigv4/check-signature.ts'
import { readHeaderSignature, readPresigned, type SignedRequest } from '../../src/server/http/sigv4/read-signature.ts'

export const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
export const NOW_MS = Date.UTC(2015, 7, 30, 12, 36)

export interface Case extends SignedRequest {
  readonly body: string
}

export function signatureOf(request: SignedRequest): ReturnType<typeof readHeaderSignature> {
  const index = request.rawHeaders.findIndex((name) => name.toLowerCase() === 'authorization')
  return index < 0 ? readPresigned(request) : readHeaderSignature(request, request.rawHeaders[index + 1]!)
}

export async function check(
  request: Case,
  { nowMs = NOW_MS, secret = SECRET, region = null as string | null, services = ['service', 'bedrock'] } = {},
) {
  const signature = signatureOf(request)
  checkTerms(signature, request, { nowMs, region, services })
  await checkSignature(signature, request, { secret, readBody: async () => Buffer.from(request.body) })
}

export async function verdict(request: Case, terms: Parameters<typeof check>[1] = {}): Promise<string> {
  return check(request, terms).then(
    () => 'good',
    (error: { code: string }) => error.code,
  )
}

export const latin1 = (text: string): string => Buffer.from(text).toString('latin1')

export interface RandomRequest {
  readonly path: string
  readonly query: Record<string, string | string[]>
  readonly headers: Record<string, string>
  readonly body: string
  readonly claimsHash: boolean
}

const word = fc.string({ unit: 'grapheme', maxLength: 8 }).filter((text) => text.isWellFormed())
const segment = fc.oneof(word, fc.constantFrom('', 'a%b', 'x y', '~', "it's(1)*!", 'arn:aws:bedrock:us-east-1::model/m', '..a'))
const headerValue = fc.stringMatching(/^[!-~]( {0,3}[!-~]){0,12}$/)
export const requests: fc.Arbitrary<RandomRequest> = fc.record({
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

export function signer(applyChecksum = false): SignatureV4 {
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
export function queryText(query: Record<string, string | string[] | null>): string {
  return Object.entries(query)
    .reverse()
    .flatMap(([name, value]) => [value].flat().map((one) => `${escape(name)}=${escape(one ?? '')}`))
    .join('&')
}

export function unsigned({ path, query, headers, body }: RandomRequest) {
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

export async function signed(request: RandomRequest): Promise<Case> {
  const { method, path, query, headers, body } = (await signer(request.claimsHash).sign(unsigned(request), {
    signingDate: new Date(NOW_MS),
  })) as ReturnType<typeof unsigned>
  const text = queryText(query)
  return { method, url: text === '' ? path : `${path}?${text}`, rawHeaders: Object.entries(headers).flat(), body }
}
