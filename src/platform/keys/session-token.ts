/**
 * Temporary credentials without a row in the store: the token is the session, sealed. It holds the key behind it, its end and its secret,
 * bound to its access key id. The key is looked up with each request, so that whatever ends or bounds the key does so to its sessions.
 */
import { hkdfSync } from 'node:crypto'
import { randomAlphanumerics } from '#base/random'
import type { TemporaryCredentials } from '#contract/temporary-credentials'
import { openSealed, sealBytes } from './seal.ts'

/** What a token says. It was sealed here, so all of it is true. */
export interface Session {
  /** The key behind it. */
  readonly keyId: string
  readonly secret: string
  /** Wall clock. */
  readonly expiresMs: number
}

/** As AWS begins the access key ids of temporary credentials. */
export const TEMPORARY_PREFIX = 'ASIA'
const ACCESS_KEY_LENGTH = 20
const SECRET_LENGTH = 43
/** For scanners of leaked secrets. */
const TOKEN_PREFIX = 'inferd_st_'
/** Longer than any that was made. */
const MAX_TOKEN_LENGTH = 512
const SEALING_KEY_BYTES = 32

/** Not the master key itself: no sealed secret of the store can stand in for a token. */
export function sessionSealingKey(masterKey: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey, '', 'inferd session token 1', SEALING_KEY_BYTES))
}

/** `keyId`: without blanks, as ids of keys are. */
export function mintSession(sealingKey: Uint8Array, keyId: string, expiresMs: number): TemporaryCredentials {
  const accessKeyId = `${TEMPORARY_PREFIX}${randomAlphanumerics(ACCESS_KEY_LENGTH - TEMPORARY_PREFIX.length).toUpperCase()}`
  const secretAccessKey = randomAlphanumerics(SECRET_LENGTH)
  const sealed = sealBytes(sealingKey, accessKeyId, `${expiresMs} ${keyId} ${secretAccessKey}`)
  return { accessKeyId, secretAccessKey, sessionToken: `${TOKEN_PREFIX}${sealed.toString('base64url')}`, expiresMs }
}

/** null = it was not made here, not for this access key id, or was changed, be it in its spelling only. */
export function openSession(sealingKey: Uint8Array, accessKeyId: string, token: string): Session | null {
  if (token.length > MAX_TOKEN_LENGTH || !token.startsWith(TOKEN_PREFIX)) return null
  const spelled = token.slice(TOKEN_PREFIX.length)
  const sealed = Buffer.from(spelled, 'base64url')
  const text = sealed.toString('base64url') === spelled ? openSealed(sealingKey, accessKeyId, sealed) : null
  const [expiresMs, keyId, secret] = text?.split(' ') ?? []
  return expiresMs === undefined || keyId === undefined || secret === undefined ? null : { keyId, secret, expiresMs: Number(expiresMs) }
}
