import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import type { LoadedGrammar } from '#engine/grammar/token-matcher'
import { GrammarCache } from './grammar-cache.ts'

class SizedGrammar implements LoadedGrammar {
  memoryBytes: number
  constructor(memoryBytes: number) {
    this.memoryBytes = memoryBytes
  }
  createMatcher(): never {
    throw new Error('not for matching')
  }
}

const LIMITS = { maxTenantBytes: 1000, maxTotalBytes: 2500 }

test('10,000 different schemas of one tenant stay under its bound, and another tenant keeps its hits', () => {
  const cache = new GrammarCache(LIMITS)
  cache.add('calm', 'schema', new SizedGrammar(400))
  for (let index = 0; index < 10_000; index++) {
    expect(cache.find('busy', `schema ${index}`)).toBeNull()
    cache.add('busy', `schema ${index}`, new SizedGrammar(300))
    expect(cache.find('calm', 'schema')).not.toBeNull()
    if (index % 500 === 0) cache.checkInvariants()
  }
  const { bytes, numGrammars, numHits, numMisses } = cache.stats()
  expect([numGrammars, numHits, numMisses]).toEqual([4, 10_000, 10_000])
  expect(bytes).toBeLessThanOrEqual(1000 + 412)
})

test('the grammar that was used least recently goes first', () => {
  const cache = new GrammarCache(LIMITS)
  for (const key of ['a', 'b', 'c']) cache.add('t', key, new SizedGrammar(300))
  cache.find('t', 'a')
  cache.add('t', 'd', new SizedGrammar(300))
  expect(['a', 'b', 'c', 'd'].map((key) => cache.find('t', key) !== null)).toEqual([true, false, true, true])
})

test('what all tenants hold together is bounded, and those that were quiet for longest give first', () => {
  const cache = new GrammarCache(LIMITS)
  for (const tenant of ['t1', 't2', 't3', 't4']) cache.add(tenant, 'k', new SizedGrammar(700))
  expect(['t1', 't2', 't3', 't4'].map((tenant) => cache.find(tenant, 'k') !== null)).toEqual([false, true, true, true])
  cache.checkInvariants()
})

test('a grammar that grows is counted as it is when it is used, and dropped when it has outgrown the bound', () => {
  const cache = new GrammarCache(LIMITS)
  const grammar = new SizedGrammar(100)
  cache.add('t', 'old', new SizedGrammar(600))
  cache.add('t', 'k', grammar)
  grammar.memoryBytes = 700
  expect(cache.find('t', 'k')).toBe(grammar)
  expect(cache.find('t', 'old')).toBeNull()
  cache.checkInvariants()
  grammar.memoryBytes = 5000
  expect(cache.find('t', 'k')).toBe(grammar)
  expect(cache.find('t', 'k')).toBeNull()
  cache.checkInvariants()
})

test('a grammar that is larger than a bound is never kept', () => {
  const cache = new GrammarCache(LIMITS)
  cache.add('t', 'k', new SizedGrammar(1001))
  expect(cache.stats()).toMatchObject({ numGrammars: 0, bytes: 0 })
})

test('sums and bounds hold over any course of adding, finding and growing', () => {
  const random = new SeededRandom(7)
  const cache = new GrammarCache(LIMITS)
  for (let step = 0; step < 5000; step++) {
    const tenant = `t${random.nextInt(5)}`
    const key = `k${random.nextInt(8)}`
    if (random.nextInt(2) === 0) cache.add(tenant, key, new SizedGrammar(random.nextInt(1200)))
    else {
      const found = cache.find(tenant, key)
      if (found instanceof SizedGrammar) found.memoryBytes += random.nextInt(200)
    }
    cache.checkInvariants()
  }
})
