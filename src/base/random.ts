/**
 * The only source of randomness. `SeededRandom` replays a run from its seed; ids come from `randomId`.
 */
import { randomBytes, randomUUID } from 'node:crypto'

export interface Random {
  /** Uniform in [0, 2^32). */
  nextUint32(): number
  /** Uniform in [0, 1). */
  nextFloat(): number
  /** Uniform integer in [0, bound). */
  nextInt(bound: number): number
}

/** splitmix32: 32 bits of state, full period. Good enough for simulations and jitter, not for secrets. */
export class SeededRandom implements Random {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  nextUint32(): number {
    this.state = (this.state + 0x9e3779b9) >>> 0
    let z = this.state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }

  nextFloat(): number {
    return this.nextUint32() / 2 ** 32
  }

  nextInt(bound: number): number {
    return Math.floor(this.nextFloat() * bound)
  }
}

/** 96 random bits as URL-safe text with a prefix that names the kind: `chatcmpl-...`, and `msg_...` for one that ends in `_`. Unguessable. */
export function randomId(prefix: string): string {
  return `${prefix}${prefix.endsWith('_') ? '' : '-'}${ID_POOL.take(ID_BYTES).toString('base64url')}`
}

/** Random bytes drawn many at a time, each given out once: a call for a dozen costs as much as one for thousands. */
class RandomPool {
  private bytes = Buffer.alloc(0)
  private numTaken = 0

  take(length: number): Buffer {
    if (this.numTaken + length > this.bytes.length) {
      this.bytes = randomBytes(POOL_BYTES)
      this.numTaken = 0
    }
    this.numTaken += length
    return this.bytes.subarray(this.numTaken - length, this.numTaken)
  }
}

const ID_BYTES = 12
const POOL_BYTES = 4092
const ID_POOL = new RandomPool()

/** A seed for requests that bring none: uniform in [0, 2^32). */
export function randomSeed(): number {
  return randomBytes(4).readUInt32LE(0)
}

const ALPHANUMERICS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
/** Bytes from here on would make the first characters likelier. */
const FAIR_BYTES = 256 - (256 % ALPHANUMERICS.length)

/** Letters and digits, each equally likely. Unguessable from 22 characters on. */
export function randomAlphanumerics(length: number): string {
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < FAIR_BYTES && text.length < length) text += ALPHANUMERICS[byte % ALPHANUMERICS.length]
    }
  }
  return text
}

/** For keys and nonces. */
export function secretBytes(length: number): Buffer {
  return randomBytes(length)
}

/** Version 4, for names that others expect in this form. */
export function randomUuid(): string {
  return randomUUID()
}
