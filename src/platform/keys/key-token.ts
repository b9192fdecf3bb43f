/**
 * Secrets as they are made and told apart. A bearer key is `inferd_sk_ID_SECRET`: the prefix lets scanners find leaked ones, the id finds
 * the row, the secret has 256 random bits. A signing key is an access key id, `INFERDAK...`, and a secret of the same strength.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { randomAlphanumerics } from '#base/random'

/** 43 of 62 characters are 256 bits. */
const SECRET_LENGTH = 43
const ID_LENGTH = 16
const ACCESS_KEY_PREFIX = 'INFERDAK'
const ACCESS_KEY_LENGTH = 20
const BEARER_KEY = /^inferd_sk_([A-Za-z0-9]{16})_[A-Za-z0-9]{43}$/
/** Of no secret. */
const NO_HASH = '0'.repeat(64)

export interface MintedBearer {
  readonly id: string
  /** The whole key, shown once. */
  readonly token: string
}

export interface MintedSigning {
  /** The access key id. */
  readonly id: string
  readonly secret: string
}

export function mintBearer(): MintedBearer {
  const id = randomAlphanumerics(ID_LENGTH)
  return { id, token: `inferd_sk_${id}_${randomAlphanumerics(SECRET_LENGTH)}` }
}

/** The id's bits are not all equally likely, which an id need not be. */
export function mintSigning(): MintedSigning {
  const tail = randomAlphanumerics(ACCESS_KEY_LENGTH - ACCESS_KEY_PREFIX.length).toUpperCase()
  return { id: `${ACCESS_KEY_PREFIX}${tail}`, secret: randomAlphanumerics(SECRET_LENGTH) }
}

/** null = it is no key of ours. */
export function bearerKeyId(token: string): string | null {
  return BEARER_KEY.exec(token)?.[1] ?? null
}

/** Hex SHA-256 of the whole key: 256 random bits need no slow hash. */
export function hashBearer(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

/** The same work whether there is a hash to compare with or not. */
export function isBearerOf(token: string, hash: string | null): boolean {
  const isEqual = timingSafeEqual(Buffer.from(hashBearer(token), 'hex'), Buffer.from(hash ?? NO_HASH, 'hex'))
  return isEqual && hash !== null
}
