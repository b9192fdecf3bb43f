import { expect, test } from 'vitest'
import { BlockPool } from './block-pool.ts'
import type { BlockHash, BlockId } from './block.ts'

const HASHES = ['hash-a', 'hash-b', 'hash-c'] as BlockHash[]

/** A pool of four blocks; three were full with the content of HASHES and have been freed, tail before head. */
function poolWithFreedChain() {
  const pool = new BlockPool(4)
  const chain = HASHES.map((hash) => {
    const blockId = pool.allocate()
    pool.register(blockId, hash)
    return blockId
  })
  for (const blockId of chain.toReversed()) pool.free(blockId)
  return { pool, chain }
}

function checkWith(pool: BlockPool, held: readonly BlockId[]): void {
  const holders = new Int32Array(pool.numBlocks)
  for (const blockId of held) holders[blockId] = holders[blockId]! + 1
  pool.checkInvariants(holders)
}

test('freeing a sequence returns tail blocks first, so a shared prefix survives eviction', () => {
  const { pool } = poolWithFreedChain()
  const taken = [pool.allocate(), pool.allocate()]
  // The never used block, then the tail: the first two blocks of the chain can still be hit.
  expect(taken).toEqual([3, 2])
  expect(pool.countHits(HASHES, 3)).toBe(2)
  checkWith(pool, taken)
})

test('a hit takes its block out of the free queue and keeps the content', () => {
  const { pool, chain } = poolWithFreedChain()
  expect(pool.countFreeHits(HASHES, 2)).toBe(2)
  expect(pool.touchHit(HASHES[0]!)).toBe(chain[0])
  expect(pool.numFreeBlocks).toBe(3)
  expect(pool.countFreeHits(HASHES, 2)).toBe(1)
  checkWith(pool, [chain[0]!])
})

test('a run of hits ends at the first missing hash', () => {
  const { pool } = poolWithFreedChain()
  expect(pool.countHits([HASHES[0]!, 'other' as BlockHash, HASHES[2]!], 3)).toBe(1)
  expect(pool.countHits(HASHES, 2)).toBe(2)
})

test('a held block is shared from its second holder on, and free with its last', () => {
  const pool = new BlockPool(2)
  const blockId = pool.allocate()
  expect(pool.isShared(blockId)).toBe(false)
  pool.touch(blockId)
  expect(pool.isShared(blockId)).toBe(true)
  expect(() => pool.assertWritable(blockId)).toThrow('shared')
  pool.free(blockId)
  expect(pool.numFreeBlocks).toBe(1)
  pool.free(blockId)
  expect(pool.numFreeBlocks).toBe(2)
  expect(() => pool.free(blockId)).toThrow('freed twice')
})

test('a block that the prefix cache offers must not be written', () => {
  const pool = new BlockPool(1)
  const blockId = pool.allocate()
  pool.assertWritable(blockId)
  pool.register(blockId, HASHES[0]!)
  expect(() => pool.assertWritable(blockId)).toThrow('prefix cache')
})

test('equal content in two blocks is registered once, and again after the first is forgotten', () => {
  const pool = new BlockPool(2)
  const [first, second] = [pool.allocate(), pool.allocate()]
  pool.register(first, HASHES[0]!)
  pool.register(second, HASHES[0]!)
  expect(pool.numCachedBlocks).toBe(1)
  expect(pool.touchHit(HASHES[0]!)).toBe(first)
  pool.forget(first)
  expect(pool.countHits(HASHES, 1)).toBe(0)
  pool.register(second, HASHES[0]!)
  expect(pool.countHits(HASHES, 1)).toBe(1)
  checkWith(pool, [first, first, second])
})

test('the check finds a holder that the pool does not know of', () => {
  const pool = new BlockPool(2)
  const blockId = pool.allocate()
  checkWith(pool, [blockId])
  expect(() => checkWith(pool, [])).toThrow('1 holders, 0 tables')
  expect(() => checkWith(pool, [blockId, blockId])).toThrow('1 holders, 2 tables')
})
