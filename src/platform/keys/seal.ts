/** Secrets that must come back in the clear: AES-256-GCM under a key of 32 bytes, bound to the name of what they are of. */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { secretBytes } from '#base/random'
import { InferdError } from '#contract/errors'

const ALGORITHM = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Base64 of what `sealBytes` gives, bound to the id whose secret it is. */
export function seal(masterKey: Uint8Array, id: string, secret: string): string {
  return sealBytes(masterKey, id, secret).toString('base64')
}

/** Throws store_failed when the master key is another one, or the row was changed. */
export function unseal(masterKey: Uint8Array, id: string, sealed: string): string {
  const secret = openSealed(masterKey, id, Buffer.from(sealed, 'base64'))
  if (secret === null) throw new InferdError('store_failed', 'a sealed secret does not open with the master key of this data directory')
  return secret
}

/** Nonce, tag and ciphertext. */
export function sealBytes(key: Uint8Array, name: string, text: string): Buffer {
  const nonce = secretBytes(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(name))
  const ciphertext = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), ciphertext])
}

/** null = it was sealed under another key or name, or was changed. */
export function openSealed(key: Uint8Array, name: string, sealed: Uint8Array): string | null {
  const [nonce, tag, ciphertext] = [
    sealed.subarray(0, NONCE_BYTES),
    sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES),
    sealed.subarray(NONCE_BYTES + TAG_BYTES),
  ]
  try {
    const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(name)).setAuthTag(tag)
    return decipher.update(ciphertext, undefined, 'utf8') + decipher.final('utf8')
  } catch {
    return null
  }
}
