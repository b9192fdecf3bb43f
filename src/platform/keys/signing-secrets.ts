/**
 * The secrets of signing keys and of their sessions, opened when a signature must be checked. A key that does not exist costs the same
 * work.
 */
import { randomAlphanumerics } from '#base/random'
import { seal, unseal } from './seal.ts'
import { openSession, type Session, sessionSealingKey } from './session-token.ts'

const DECOY_ID = 'INFERDAK000000000000'
const DECOY_LENGTH = 43

interface Opened {
  readonly masterKey: Uint8Array
  readonly sealingKey: Uint8Array
  readonly decoy: string
}

export class SigningSecrets {
  private readonly loadMasterKey: () => Uint8Array
  private opened: Opened | null = null

  /** `loadMasterKey` is called when the first signature comes. */
  constructor(loadMasterKey: () => Uint8Array) {
    this.loadMasterKey = loadMasterKey
  }

  /** `sealed` null: of nobody, and nobody knows it. Throws store_failed. */
  secretOf(id: string, sealed: string | null): string {
    const { masterKey, decoy } = this.open()
    return sealed === null ? unseal(masterKey, DECOY_ID, decoy) : unseal(masterKey, id, sealed)
  }

  /** null = the token is not one of ours, or not of this access key id. Throws store_failed. */
  sessionOf(accessKeyId: string, token: string): Session | null {
    return openSession(this.open().sealingKey, accessKeyId, token)
  }

  private open(): Opened {
    if (this.opened !== null) return this.opened
    const masterKey = this.loadMasterKey()
    const decoy = seal(masterKey, DECOY_ID, randomAlphanumerics(DECOY_LENGTH))
    this.opened = { masterKey, sealingKey: sessionSealingKey(masterKey), decoy }
    return this.opened
  }
}
