/** One fixed block of KV slots: an id and its bookkeeping. The tensors behind the id belong to the executor. */

export type BlockId = number & { readonly __brand: 'BlockId' }

/** Content address of a full block and of everything before it in its sequence. See block-hash.ts. */
export type BlockHash = string & { readonly __brand: 'BlockHash' }

export interface KvBlock {
  readonly blockId: BlockId
  /** Block tables that hold it. 0 = free: it stands in the free queue. Only BlockPool writes it. */
  refCount: number
  /** Set while the prefix cache can find the block; its content is then full and never written. Only PrefixCache writes it. */
  hash: BlockHash | null
  /** Links of the free queue; null when the block is held or at an end. Only FreeBlockQueue writes them. */
  previousFree: KvBlock | null
  nextFree: KvBlock | null
}

/** Ids are positions: blocks[i].blockId === i. */
export function createBlocks(numBlocks: number): readonly KvBlock[] {
  return Array.from({ length: numBlocks }, (_, index) => ({
    blockId: index as BlockId,
    refCount: 0,
    hash: null,
    previousFree: null,
    nextFree: null,
  }))
}
