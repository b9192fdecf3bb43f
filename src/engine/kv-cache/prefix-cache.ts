/**
 * Which block holds which content. Only full, computed blocks are registered. Two sequences that compute the same content at
 * the same time hold two blocks; the first registered is the one that hits find, the other stays anonymous.
 */
import { assert } from '#base/assert'
import type { BlockHash, KvBlock } from './block.ts'

export class PrefixCache {
  /** At most one entry per block of the pool. Block by hash; block.hash is the way back. */
  private readonly blocksByHash = new Map<BlockHash, KvBlock>()

  get numBlocks(): number {
    return this.blocksByHash.size
  }

  find(hash: BlockHash): KvBlock | null {
    return this.blocksByHash.get(hash) ?? null
  }

  /** Length of the longest run of hashes, from the first, that the cache holds; at most `maxBlocks`. */
  countHits(hashes: readonly BlockHash[], maxBlocks: number): number {
    const limit = Math.min(hashes.length, maxBlocks)
    for (let index = 0; index < limit; index++) {
      if (!this.blocksByHash.has(hashes[index]!)) return index
    }
    return limit
  }

  /** Makes a full block findable, unless another block has the same content or it is registered already. */
  register(block: KvBlock, hash: BlockHash): void {
    if (block.hash !== null) {
      assert(block.hash === hash, 'a registered block changed its content')
      return
    }
    if (this.blocksByHash.has(hash)) return
    block.hash = hash
    this.blocksByHash.set(hash, block)
  }

  /** Forgets the block's content, if it was registered. */
  forget(block: KvBlock): void {
    if (block.hash === null) return
    const wasThere = this.blocksByHash.delete(block.hash)
    assert(wasThere, 'the prefix cache lost a registered block')
    block.hash = null
  }

  /** O(entries). Throws BugError unless the map and the blocks name each other. */
  checkInvariants(): void {
    for (const [hash, block] of this.blocksByHash) assert(block.hash === hash, 'the prefix cache names a block that changed')
  }
}
