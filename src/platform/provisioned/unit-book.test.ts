import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ProvisionedThroughput } from '#contract/provisioned'
import { UnitBook, type UnitClaim } from './unit-book.ts'

const THROUGHPUT: ProvisionedThroughput = {
  id: 'abc',
  name: 'mine',
  team: 'red',
  model: 'chat',
  units: 2,
  commitment: 'none',
  commitmentEndsMs: null,
  keyId: 'k',
  createdMs: 0,
  modifiedMs: 0,
  tags: {},
}
const RATE = { inputTokensPerMinute: 500, outputTokensPerMinute: 100 }
const CLAIM: UnitClaim = { team: 'red', name: 'mine', model: 'chat', isByTier: false }

function bookOf(...more: readonly Partial<ProvisionedThroughput>[]): UnitBook {
  const book = new UnitBook()
  for (const words of more.length === 0 ? [{}] : more) book.put({ ...THROUGHPUT, ...words }, RATE)
  return book
}

test.each<[string, Partial<UnitClaim>, boolean]>([
  ['by its name', {}, true],
  ['by its id', { name: 'abc' }, true],
  ['by tier, of its model', { name: 'chat', isByTier: true }, true],
  ['not by the name of its model alone', { name: 'chat' }, false],
  ['not by tier, of another model', { name: 'other', model: 'other', isByTier: true }, false],
  ['not by another team', { team: 'blue' }, false],
])('is claimed %s', (_, words, isClaimed) => {
  expect(bookOf().take({ ...CLAIM, ...words }, { promptTokens: 1, outputTokens: 1 }, 0) !== null).toBe(isClaimed)
})

test('input and output have rates of their own, and what was not used comes back', () => {
  const book = bookOf()
  const first = book.take(CLAIM, { promptTokens: 1000, outputTokens: 10 }, 0)
  expect(book.take(CLAIM, { promptTokens: 1, outputTokens: 1 }, 0)).toBe(null)
  first?.settle({ promptTokens: 0, outputTokens: 200 }, 0)
  expect(book.take(CLAIM, { promptTokens: 1, outputTokens: 1 }, 0)).toBe(null)
  expect(book.take(CLAIM, { promptTokens: 1000, outputTokens: 100 }, 30_000)).not.toBe(null)
  expect(book.figures).toMatchObject([{ numWithin: 2, numSpilled: 2, outputTokens: 200, numRunning: 1 }])
})

test('of two of a team the one with room is taken', () => {
  const book = bookOf({}, { id: 'def', name: 'second' })
  const byTier = { ...CLAIM, name: 'chat', isByTier: true }
  const ids = [1, 2, 3].map(() => book.take(byTier, { promptTokens: 1000, outputTokens: 1 }, 0)?.id ?? null)
  expect(ids).toEqual(['abc', 'def', null])
})

test('a change keeps what was taken, and a removal lets calls end', () => {
  const book = bookOf()
  const share = book.take(CLAIM, { promptTokens: 1000, outputTokens: 1 }, 0)
  book.put({ ...THROUGHPUT, name: 'renamed' }, RATE)
  expect(book.take({ ...CLAIM, name: 'renamed' }, { promptTokens: 1, outputTokens: 1 }, 0)).toBe(null)
  book.remove('abc')
  share?.settle({ promptTokens: 1, outputTokens: 1 }, 0)
  expect(book.figures).toEqual([])
})

test('in any minute no more is given than twice what was bought, and all of it to who asks evenly', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ gapMs: fc.integer({ min: 0, max: 5000 }), tokens: fc.integer({ min: 1, max: 300 }) }), { minLength: 50, maxLength: 200 }),
      (calls) => {
        const book = bookOf()
        const given: { readonly atMs: number; readonly tokens: number }[] = []
        let nowMs = 0
        for (const { gapMs, tokens } of calls) {
          nowMs += gapMs
          const share = book.take(CLAIM, { promptTokens: tokens, outputTokens: 0 }, nowMs)
          share?.settle({ promptTokens: tokens, outputTokens: 0 }, nowMs)
          if (share !== null) given.push({ atMs: nowMs, tokens })
          const inMinute = given.filter(({ atMs }) => atMs > nowMs - 60_000).reduce((sum, each) => sum + each.tokens, 0)
          expect(inMinute).toBeLessThanOrEqual(2 * 2 * 500)
        }
      },
    ),
    { seed: 4, numRuns: 50 },
  )
  const even = bookOf()
  for (let second = 0; second < 600; second++) {
    const share = even.take(CLAIM, { promptTokens: 16, outputTokens: 1 }, second * 1000)
    expect(share).not.toBe(null)
    share?.settle({ promptTokens: 16, outputTokens: 1 }, second * 1000)
  }
})
