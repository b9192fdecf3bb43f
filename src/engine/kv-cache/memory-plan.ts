/** How many KV blocks fit: memory is a ledger that is settled before anything is allocated. */
import { InferdError } from '#contract/errors'
import { assert } from '#base/assert'

interface KvCacheFacts {
  /** Bytes that the KV cache may take: what weights, activations and buffers leave. */
  readonly availableBytes: number
  /** Tokens per block. */
  readonly blockSize: number
  /** K and V of one token in all layers. */
  readonly bytesPerToken: number
  readonly contextLength: number
  /** Sequences that could fill their context at once; more blocks than they need are not taken. */
  readonly maxSequences: number
}

interface KvCachePlan {
  readonly numBlocks: number
  readonly kvCacheBytes: number
}

/** Throws InferdError('insufficient_memory') with need and have when not even one full context fits. */
export function planKvCache(facts: KvCacheFacts): KvCachePlan {
  const { availableBytes, blockSize, bytesPerToken, contextLength, maxSequences } = facts
  assert(blockSize >= 1 && bytesPerToken >= 1 && contextLength >= 1 && maxSequences >= 1, 'a KV plan needs positive sizes')
  const blockBytes = blockSize * bytesPerToken
  const blocksPerContext = Math.ceil(contextLength / blockSize)
  const numBlocks = Math.min(Math.floor(availableBytes / blockBytes), blocksPerContext * maxSequences)
  if (numBlocks < blocksPerContext) {
    const needBytes = blocksPerContext * blockBytes
    const haveBytes = Math.max(0, Math.floor(availableBytes))
    throw new InferdError(
      'insufficient_memory',
      `the KV cache of one context of ${contextLength} tokens needs ${needBytes} bytes, ${haveBytes} are left; serve a shorter context`,
    )
  }
  return { numBlocks, kvCacheBytes: numBlocks * blockBytes }
}

interface KvShape {
  readonly numLayers: number
  readonly numKvHeads: number
  /** Bytes of the key row, or of the value row, of one head. */
  readonly rowBytes: number
}

/** K and V of one token in all layers. */
export function kvBytesPerToken(shape: KvShape): number {
  return 2 * shape.numLayers * shape.numKvHeads * shape.rowBytes
}
