/**
 * Holds a SigV4 signature against the request that carries it. Two steps, because the body comes last: what can be refused without it
 * is refused without it, and a signer that told the body's hash is checked before the body is read.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { InferdError } from '#contract/errors'
import { canonicalRequest, sha256Hex } from './canonical-request.ts'
import { headerValues, type Signature, type SignedRequest } from './read-signature.ts'

/** As Bedrock has it: a signature is as old as that, or as far ahead, at most. */
export const MAX_SKEW_MS = 300_000

export interface SignatureTerms {
  readonly nowMs: number
  /** null = any. */
  readonly region: string | null
  readonly services: readonly string[]
}

const STREAMED = /^STREAMING-/
const SIGNED_ALWAYS = /^x-amz-/

/** Everything that needs neither secret nor body. Throws signature_expired, signature_mismatch or incomplete_signature. */
export function checkTerms(signature: Signature, request: SignedRequest, { nowMs, region, services }: SignatureTerms): void {
  checkAge(signature, nowMs)
  if (signature.scopeDate !== signature.date.slice(0, 8)) {
    throw mismatch(`Date in Credential scope does not match ${signature.date.slice(0, 8)}, the date of the request`)
  }
  if (region !== null && signature.region !== region) throw mismatch(`Credential should be scoped to a valid region, such as '${region}'`)
  if (!services.includes(signature.service)) throw mismatch(`Credential should be scoped to correct service: '${services.join("' or '")}'`)
  const unsigned = namesOf(request).filter((name) => SIGNED_ALWAYS.test(name) && !signature.signedHeaders.includes(name))
  if (unsigned.length > 0) throw mismatch(`there were headers in the request that were not signed: ${unsigned.join(', ')}`)
  const { payloadHash } = signature
  if (payloadHash === null || /^[0-9a-f]{64}$/.test(payloadHash)) return
  if (payloadHash === 'UNSIGNED-PAYLOAD') throw mismatch('UNSIGNED-PAYLOAD is not accepted here: the body must be signed')
  if (STREAMED.test(payloadHash)) throw mismatch('bodies that are signed in chunks are not accepted here: sign the whole body')
  throw mismatch('x-amz-content-sha256 must be the SHA-256 of the body in 64 hexadecimal digits')
}

/** Throws signature_mismatch. `readBody` is called once, where the body decides. */
export async function checkSignature(
  signature: Signature,
  request: SignedRequest,
  { secret, readBody }: { readonly secret: string; readonly readBody: () => Promise<Uint8Array> },
): Promise<void> {
  const { payloadHash } = signature
  if (payloadHash === null) return compareSignatures(signature, request, secret, sha256Hex(await readBody()))
  compareSignatures(signature, request, secret, payloadHash)
  if (sha256Hex(await readBody()) !== payloadHash) throw mismatch('the body is not the one that was signed')
}

function compareSignatures(signature: Signature, request: SignedRequest, secret: string, payloadHash: string): void {
  const expected = signatureOf(signature, request, secret, payloadHash)
  if (!timingSafeEqual(Buffer.from(expected, 'hex'), Buffer.from(signature.signature, 'hex'))) {
    throw mismatch('the request signature does not match: check the secret key and the signing method')
  }
}

function signatureOf(signature: Signature, request: SignedRequest, secret: string, payloadHash: string): string {
  const { path, query, date, scopeDate, region, service } = signature
  const headers = signature.signedHeaders.map((name) => ({ name, values: headerValues(request, name) }))
  const canonical = canonicalRequest({ method: request.method, path, query, headers, payloadHash })
  const text = `AWS4-HMAC-SHA256\n${date}\n${scopeDate}/${region}/${service}/aws4_request\n${sha256Hex(canonical)}`
  const key = [scopeDate, region, service, 'aws4_request'].reduce<string | Buffer>((step, word) => hmac(step, word), `AWS4${secret}`)
  return hmac(key, text).toString('hex')
}

function checkAge({ signedAtMs, expiresS }: Signature, nowMs: number): void {
  if (signedAtMs - nowMs > MAX_SKEW_MS) throw expired('Signature not yet current', signedAtMs, nowMs)
  const lifeMs = expiresS === null ? MAX_SKEW_MS : expiresS * 1000
  if (nowMs - signedAtMs > lifeMs) throw expired('Signature expired', signedAtMs, nowMs)
}

function namesOf({ rawHeaders }: SignedRequest): readonly string[] {
  return rawHeaders.filter((_name, index) => index % 2 === 0).map((name) => name.toLowerCase())
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'latin1').digest()
}

function expired(what: string, signedAtMs: number, nowMs: number): InferdError {
  const clock = new Date(nowMs).toISOString().slice(0, 19)
  return new InferdError(
    'signature_expired',
    `${what}: it is of ${new Date(signedAtMs).toISOString().slice(0, 19)}Z, this server's clock says ${clock}Z`,
  )
}

function mismatch(message: string): InferdError {
  return new InferdError('signature_mismatch', message)
}
