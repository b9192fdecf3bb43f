import { expect, test } from 'vitest'
import { kvBytesPerToken, planKvCache } from './memory-plan.ts'

const FACTS = { availableBytes: 100_000, blockSize: 16, bytesPerToken: 10, contextLength: 1000, maxSequences: 100 }

test('whole blocks of what is available are planned', () => {
  expect(planKvCache(FACTS)).toEqual({ numBlocks: 625, kvCacheBytes: 100_000 })
  expect(planKvCache({ ...FACTS, availableBytes: 100_159 }).numBlocks).toBe(625)
})

test('no more than all sequences could fill is taken', () => {
  expect(planKvCache({ ...FACTS, maxSequences: 2 }).numBlocks).toBe(2 * 63)
})

test('less memory than one context needs is refused with need and have', () => {
  const refusal = { code: 'insufficient_memory', message: expect.stringMatching(/10080 bytes.* 10079 are left/) }
  expect(() => planKvCache({ ...FACTS, availableBytes: 10_079 })).toThrow(expect.objectContaining(refusal))
  expect(planKvCache({ ...FACTS, availableBytes: 10_080 }).numBlocks).toBe(63)
})

test('a token takes a key row and a value row in every layer', () => {
  expect(kvBytesPerToken({ numLayers: 22, numKvHeads: 4, rowBytes: 128 })).toBe(2 * 22 * 4 * 128)
})
