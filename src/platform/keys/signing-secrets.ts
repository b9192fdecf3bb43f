/** The secrets of signing keys, opened when a signature must be checked. A key that does not exist costs the same work. */
import { randomAlphanumerics } from '#base/random'
import { seal, unseal } from './seal.ts'

const DECOY_ID = 'INFERDAK000000000000'
const DECOY_LENGTH = 43

export class SigningSecrets {
  private readonly loadMasterKey: () => Uint8Array
  private opened: { readonly masterKey: Uint8Array; readonly decoy: string } | null = null

  /** `loadMasterKey` is called when the first signature comes. */
  constructor(loadMasterKey: () => Uint8Array) {
    this.loadMasterKey = loadMasterKey
  }

  /** `sealed` null: of nobody, and nobody knows it. Throws store_failed. */
  secretOf(id: string, sealed: string | null): string {
    this.opened ??= this.open()
    const { masterKey, decoy } = this.opened
    return sealed === null ? unseal(masterKey, DECOY_ID, decoy) : unseal(masterKey, id, sealed)
  }

  private open(): NonNullable<SigningSecrets['opened']> {
    const masterKey = this.loadMasterKey()
    return { masterKey, decoy: seal(masterKey, DECOY_ID, randomAlphanumerics(DECOY_LENGTH)) }
  }
}
