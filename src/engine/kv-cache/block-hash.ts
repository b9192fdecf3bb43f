/**
 * Content addresses of KV blocks. KV at a position depends on every token before it, so a block's hash covers its parent's hash
 * and its own tokens; the chain starts at a root over model identity and salt. SHA-256 cut to 132 bits: callers choose the tokens,
 * so the hash must stand against collisions made on purpose, not only against chance.
 */
import { hash } from 'node:crypto'
import { assert } from '#base/assert'
import type { BlockHash } from './block.ts'

/** Characters of base64url kept: 22 x 6 = 132 bits. */
const HASH_LENGTH = 22

/** Where the chains of one namespace start. Length-prefixed, so that no two (identity, salt) pairs spell the same bytes. */
export function rootHash(modelIdentity: string, cacheSalt: string): BlockHash {
  return digest(Buffer.from(`${modelIdentity.length}:${modelIdentity}${cacheSalt.length}:${cacheSalt}`, 'utf8'))
}

/** Hashes blocks of one size; owns a scratch buffer, so that hashing allocates only the result. */
export class BlockHasher {
  private readonly blockSize: number
  private readonly scratch: Buffer

  constructor(blockSize: number) {
    this.blockSize = blockSize
    this.scratch = Buffer.alloc(HASH_LENGTH + blockSize * 4)
  }

  /** Writes one token of the block that `finish` will hash. offset: 0..blockSize - 1. */
  setToken(offset: number, tokenId: number): void {
    assert(offset < this.blockSize, 'the token is outside its block')
    this.scratch.writeUInt32LE(tokenId, HASH_LENGTH + offset * 4)
  }

  /** The hash of the block whose tokens were set, behind `parent`. */
  finish(parent: BlockHash): BlockHash {
    this.scratch.write(parent, 0, HASH_LENGTH, 'latin1')
    return digest(this.scratch)
  }
}

function digest(bytes: Uint8Array): BlockHash {
  return hash('sha256', bytes, 'base64url').slice(0, HASH_LENGTH) as BlockHash
}
