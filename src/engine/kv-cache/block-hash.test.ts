import { expect, test } from 'vitest'
import { BlockHasher, rootHash } from './block-hash.ts'
import type { BlockHash } from './block.ts'

function hashOf(parent: BlockHash, tokenIds: readonly number[]): BlockHash {
  const hasher = new BlockHasher(tokenIds.length)
  for (const [offset, tokenId] of tokenIds.entries()) hasher.setToken(offset, tokenId)
  return hasher.finish(parent)
}

test('salt and model identity separate namespaces, whatever their borders', () => {
  const roots = [rootHash('model', ''), rootHash('model', 'a'), rootHash('other', 'a'), rootHash('modela', ''), rootHash('', 'model')]
  expect(new Set(roots).size).toBe(roots.length)
})

test('a hash depends on parent, tokens and their order', () => {
  const root = rootHash('model', '')
  const first = hashOf(root, [1, 2])
  const hashes = [first, hashOf(root, [2, 1]), hashOf(first, [1, 2]), hashOf(rootHash('model', 'salt'), [1, 2])]
  expect(new Set(hashes).size).toBe(hashes.length)
  expect(hashOf(root, [1, 2])).toBe(first)
})

test('hashes have 132 bits', () => {
  expect(rootHash('model', '')).toMatch(/^[\w-]{22}$/)
})
