/**
 * Temporary credentials without a row in the store: the token is the session, sealed. It holds the key behind it and its end, bound to its
 * access key id; its secret follows from them and from the key's own secret. The key is looked up with each request, so that whatever ends
 * or bounds the key does so to its sessions, and who has the master key but not the store can make none.
 */
import { createHmac, hkdfSync } from 'node:crypto'
import { randomAlphanumerics } from '#base/random'
import type { TemporaryCredentials } from '#contract/temporary-credentials'
import { openSealed, sealBytes } from './seal.ts'

/** What a token says. It was sealed here, so all of it is true. */
export interface Session {
  readonly accessKeyId: string
  /** The key behind it. */
  readonly keyId: string
  /** Wall clock. */
  readonly expiresMs: number
}

/** As AWS begins the access key ids of temporary credentials. */
export const TEMPORARY_PREFIX = 'ASIA'
const ACCESS_KEY_LENGTH = 20
/** For scanners of leaked secrets. */
const TOKEN_PREFIX = 'inferd_st_'
/** Longer than any that was made. */
const MAX_TOKEN_LENGTH = 512
const SEALING_KEY_BYTES = 32

/** Not the master key itself: no sealed secret of the store can stand in for a token. */
export function sessionSealingKey(masterKey: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey, '', 'inferd session token 1', SEALING_KEY_BYTES))
}

/** Of the key with this secret, and an id without blanks, as ids of keys are. */
export function mintSession(sealingKey: Uint8Array, key: { readonly id: string; readonly secret: string }, expiresMs: number): TemporaryCredentials {
  const accessKeyId = `${TEMPORARY_PREFIX}${randomAlphanumerics(ACCESS_KEY_LENGTH - TEMPORARY_PREFIX.length).toUpperCase()}`
  const secretAccessKey = sessionSecret(key.secret, { accessKeyId, expiresMs })
  const sealed = sealBytes(sealingKey, accessKeyId, `${expiresMs} ${key.id}`)
  return { accessKeyId, secretAccessKey, sessionToken: `${TOKEN_PREFIX}${sealed.toString('base64url')}`, expiresMs }
}

/** null = it was not made here, not for this access key id, or was changed, be it in its spelling only. */
export function openSession(sealingKey: Uint8Array, accessKeyId: string, token: string): Session | null {
  if (token.length > MAX_TOKEN_LENGTH || !token.startsWith(TOKEN_PREFIX)) return null
  const spelled = token.slice(TOKEN_PREFIX.length)
  const sealed = Buffer.from(spelled, 'base64url')
  const text = sealed.toString('base64url') === spelled ? openSealed(sealingKey, accessKeyId, sealed) : null
  const [expiresMs, keyId] = text?.split(' ') ?? []
  return expiresMs === undefined || keyId === undefined ? null : { accessKeyId, keyId, expiresMs: Number(expiresMs) }
}

/** 256 bits as text, as strong as the secret of the key. */
export function sessionSecret(keySecret: string, { accessKeyId, expiresMs }: Pick<Session, 'accessKeyId' | 'expiresMs'>): string {
  return createHmac('sha256', keySecret).update(`inferd session 1 ${accessKeyId} ${expiresMs}`).digest('base64url')
}
