/** Secrets that must come back in the clear: AES-256-GCM under the master key, bound to the id whose secret it is. */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { secretBytes } from '#base/random'
import { InferdError } from '#contract/errors'

const ALGORITHM = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Base64 of nonce, tag and ciphertext. */
export function seal(masterKey: Uint8Array, id: string, secret: string): string {
  const nonce = secretBytes(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, masterKey, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(id))
  const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64')
}

/** Throws store_failed when the master key is another one, or the row was changed. */
export function unseal(masterKey: Uint8Array, id: string, sealed: string): string {
  const bytes = Buffer.from(sealed, 'base64')
  const [nonce, tag, text] = [
    bytes.subarray(0, NONCE_BYTES),
    bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES),
    bytes.subarray(NONCE_BYTES + TAG_BYTES),
  ]
  try {
    const decipher = createDecipheriv(ALGORITHM, masterKey, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(id)).setAuthTag(tag)
    return decipher.update(text, undefined, 'utf8') + decipher.final('utf8')
  } catch (cause) {
    throw new InferdError('store_failed', 'a sealed secret does not open with the master key of this data directory', { cause })
  }
}
