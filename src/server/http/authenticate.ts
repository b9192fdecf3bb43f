/**
 * From a request to the principal behind it: a bearer key (`authorization`, `x-api-key`), a SigV4 signature in the header or in the
 * query, of a key or of temporary credentials. Bearer keys that do not exist, have ended or are wrong cost the same work and get the same
 * words; a wrong signature of a key that exists is told as AWS tells it, for ids are no secret. A bearer key in a query is never read.
 */
import type { Clock } from '#base/clock'
import { type ErrorCode, InferdError } from '#contract/errors'
import { LOCAL_PRINCIPAL, type Principal } from '#contract/principal'
import type { AuditEvent } from '#platform/audit/audit-chain'
import type { FailureLimit } from '#platform/keys/failure-limit'
import { isUsable, type ProvableKey } from '#platform/keys/key-record'
import type { KeyRing } from '#platform/keys/key-ring'
import { bearerKeyId, isBearerOf } from '#platform/keys/key-token'
import { type Session, sessionSecret, TEMPORARY_PREFIX } from '#platform/keys/session-token'
import type { SigningSecrets } from '#platform/keys/signing-secrets'
import type { Authenticate, DoorRequest } from './door-request.ts'
import { checkSignature, checkTerms } from './sigv4/check-signature.ts'
import { headerValues, isPresigned, isSignatureHeader, readHeaderSignature, readPresigned, type Signature } from './sigv4/read-signature.ts'
import { servicesOf } from './sigv4/scope-by-path.ts'

export interface AuthenticatorParts {
  readonly ring: Pick<KeyRing, 'find' | 'isKnown' | 'hasKeys' | 'noteUse'>
  readonly secrets: Pick<SigningSecrets, 'secretOf' | 'sessionOf'>
  readonly failures: FailureLimit
  /** Counted, not written one by one. */
  readonly onFailure: (event: AuditEvent) => void
  /** False: as long as no key was made, everybody is the local caller. */
  readonly isRequired: boolean
  /** Signatures must be scoped to it; null = to any. */
  readonly region: string | null
  readonly clock: Pick<Clock, 'nowMs' | 'wallMs'>
}

type Credential = { readonly kind: 'bearer'; readonly token: string; readonly keyId: string | null } | SignedCredential

interface SignedCredential {
  readonly kind: 'signature'
  readonly signature: Signature
  /** Of a token that opens. */
  readonly session: Session | null
  /** Of the key behind a session. */
  readonly keyId: string
}

const FAILURES: readonly ErrorCode[] = ['invalid_credentials', 'signature_mismatch', 'signature_expired', 'incomplete_signature', 'session_expired']
/** Looked up for what is no key at all: the same work. */
const NO_KEY_ID = '0'.repeat(16)
const MAX_LOGGED_ID_LENGTH = 32

export function createAuthenticator(parts: AuthenticatorParts): Authenticate {
  return async (request) => {
    const { ring, failures, onFailure, isRequired, clock } = parts
    if (!isRequired && !(await ring.hasKeys())) return LOCAL_PRINCIPAL
    let keyId: string | null = null
    try {
      const credential = readCredential(request, parts)
      keyId = credential.keyId
      checkSource(request.remoteAddress, keyId, parts)
      const key = await (credential.kind === 'bearer' ? verifyBearer(credential, parts) : verifySignature(credential, request, parts))
      ring.noteUse(key.record.id)
      return principalOf(key, credential)
    } catch (error) {
      if (error instanceof InferdError && FAILURES.includes(error.code)) {
        failures.note(request.remoteAddress, clock.nowMs())
        const details = { reason: error.code, key: keyId?.slice(0, MAX_LOGGED_ID_LENGTH) ?? null }
        onFailure({ event: 'login.failed', actor: request.remoteAddress, details })
      }
      throw error
    }
  }
}

/** Throws unauthenticated, invalid_credentials or incomplete_signature. */
function readCredential(request: DoorRequest, { secrets }: AuthenticatorParts): Credential {
  const authorizations = headerValues(request, 'authorization')
  const [authorization] = authorizations
  if (authorizations.length > 1) throw invalidCredentials()
  if (authorization !== undefined) {
    if (isSignatureHeader(authorization)) return signed(readHeaderSignature(request, authorization), secrets)
    return bearer(/^bearer +(\S+)$/i.exec(authorization)?.[1] ?? '')
  }
  const apiKeys = headerValues(request, 'x-api-key')
  if (apiKeys.length > 1) throw invalidCredentials()
  if (apiKeys[0] !== undefined) return bearer(apiKeys[0])
  if (isPresigned(request.url)) return signed(readPresigned(request), secrets)
  throw new InferdError('unauthenticated', 'this server needs a key: send it as `authorization: Bearer KEY` or `x-api-key`, or sign the request')
}

function bearer(token: string): Credential {
  return { kind: 'bearer', token, keyId: bearerKeyId(token) }
}

function signed(signature: Signature, secrets: AuthenticatorParts['secrets']): Credential {
  const { accessKeyId, sessionToken } = signature
  const session = sessionToken === null ? null : secrets.sessionOf(accessKeyId, sessionToken)
  return { kind: 'signature', signature, session, keyId: session?.keyId ?? accessKeyId }
}

/** A session is its key, for limits and ledger too. */
function principalOf({ record: { principal } }: ProvableKey, credential: Credential): Principal {
  return credential.kind === 'signature' && credential.session !== null ? { ...principal, isTemporary: true } : principal
}

/** A source that failed too often is not looked up any more, unless it comes with a key that exists. Throws rate_limited. */
function checkSource(source: string, keyId: string | null, { failures, ring, clock }: AuthenticatorParts): void {
  const waitMs = failures.waitMs(source, clock.nowMs())
  if (waitMs === 0 || (keyId !== null && ring.isKnown(keyId))) return
  throw new InferdError('rate_limited', 'too many requests with invalid credentials came from this address', { retryAfterMs: Math.ceil(waitMs) })
}

async function verifyBearer({ token, keyId }: Extract<Credential, { kind: 'bearer' }>, { ring, clock }: AuthenticatorParts): Promise<ProvableKey> {
  const key = await ring.find(keyId ?? NO_KEY_ID)
  const isRight = isBearerOf(token, key?.secretHash ?? null)
  if (key === null || !isRight || !isUsable(key.record, clock.wallMs())) throw invalidCredentials()
  return key
}

/** A token that does not open is no one's, whoever else could sign: the signature is then held against a secret that nobody knows. */
async function verifySignature(
  { signature, session, keyId }: SignedCredential,
  request: DoorRequest,
  { ring, secrets, region, clock }: AuthenticatorParts,
): Promise<ProvableKey> {
  const wallMs = clock.wallMs()
  checkTerms(signature, request, { nowMs: wallMs, region, services: servicesOf(signature.path) })
  const encoding = headerValues(request, 'content-encoding')[0] ?? 'identity'
  if (encoding.toLowerCase() !== 'identity') throw new InferdError('unsupported_media_type', 'the body of a signed request may not be compressed')
  const found = await ring.find(keyId)
  const isWhole = session !== null || signature.sessionToken === null
  const key = found !== null && found.sealedSecret !== null && isUsable(found.record, wallMs) && isWhole ? found : null
  if (key !== null && session !== null && session.expiresMs <= wallMs) throw sessionExpired()
  const keySecret = secrets.secretOf(keyId, key?.sealedSecret ?? null)
  const secret = session === null ? keySecret : sessionSecret(keySecret, session)
  try {
    await checkSignature(signature, request, { secret, readBody: () => request.readBody() })
  } catch (error) {
    if (key === null && error instanceof InferdError && error.code === 'signature_mismatch') throw invalidSigner(signature)
    throw error
  }
  if (key === null) throw invalidSigner(signature)
  return key
}

/** The words follow from what was sent, not from what is known of it. */
function invalidSigner({ accessKeyId, sessionToken }: Signature): InferdError {
  if (sessionToken !== null) return new InferdError('invalid_credentials', 'the security token is not valid')
  if (!accessKeyId.startsWith(TEMPORARY_PREFIX)) return invalidCredentials()
  return new InferdError('invalid_credentials', 'temporary credentials need their security token: none came with this request')
}

function sessionExpired(): InferdError {
  return new InferdError('session_expired', 'the security token has expired: get new temporary credentials')
}

function invalidCredentials(): InferdError {
  return new InferdError('invalid_credentials', 'the key is not valid')
}
