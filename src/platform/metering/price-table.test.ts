import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pricesSection } from '#config/platform-file/prices'
import { BusyShares } from './busy-share.ts'
import { PriceTable, type PricedUse } from './price-table.ts'

const table = new PriceTable(
  pricesSection.parse({
    chat: { input: 0.15, cachedInput: '0.015', cacheWrite: 0.1875, output: 0.6, reasoning: 0.9, tiers: { flex: 0.5, priority: 1.75 }, batch: 0.5 },
    hourly: { perHour: 3.6 },
    '*': { input: 1 },
  }),
)
const USE: PricedUse = {
  usage: { promptTokens: 100, cachedTokens: 30, cacheWriteTokens: 20, completionTokens: 40, reasoningTokens: 10 },
  tier: 'default',
  isBatch: false,
  responseCache: 'none',
  busyMs: 0,
  isAnswered: true,
}
const TOKENS = 50n * 150_000n + 30n * 15_000n + 20n * 187_500n + 30n * 600_000n + 10n * 900_000n

test.each([
  ['each kind of token has its price', 'chat', {}, TOKENS],
  ['flex is cheaper', 'chat', { tier: 'flex' }, TOKENS / 2n],
  ['priority is dearer', 'chat', { tier: 'priority' }, (TOKENS * 7n) / 4n],
  ['batch calls have their discount', 'chat', { isBatch: true }, TOKENS / 2n],
  ['batch and flex multiply', 'chat', { isBatch: true, tier: 'flex' }, TOKENS / 4n],
  ['an answer from the response cache is free', 'chat', { responseCache: 'exact' }, 0n],
  ['hours are shared by busy time', 'hourly', { busyMs: 1000 }, 1_000_000_000n],
  ['other models have the row of the star', 'unknown', {}, 50n * 1_000_000n + 50n * 1_000_000n],
  ['what no model answered is free', null, {}, 0n],
] as const)('%s', (_name, model, change, cost) => {
  expect(table.charge(model, { ...USE, ...change }).cost).toBe(cost)
})

test('the worst case is never less than the charge', () => {
  const count = fc.nat({ max: 1_000_000 })
  fc.assert(
    fc.property(fc.record({ prompt: count, cached: count, written: count, output: count, reasoning: count }), fc.boolean(), (n, isBatch) => {
      const cachedTokens = Math.min(n.cached, n.prompt)
      const cacheWriteTokens = Math.min(n.written, n.prompt - cachedTokens)
      const reasoningTokens = Math.min(n.reasoning, n.output)
      const usage = { promptTokens: n.prompt, cachedTokens, cacheWriteTokens, completionTokens: n.output, reasoningTokens }
      for (const tier of ['priority', 'default', 'flex'] as const) {
        const worst = table.worstCase(['chat', 'absent'], { promptTokens: n.prompt, outputTokens: n.output, tier, isBatch })
        expect(worst >= table.charge('chat', { ...USE, usage, tier, isBatch }).cost).toBe(true)
      }
    }),
    { seed: 4, numRuns: 200 },
  )
})

test.each(['-1', '1e-7', 'NaN', '0.1234567', '', '1,5'])('a price that is not exact is refused: %s', (input) => {
  expect(pricesSection.safeParse({ chat: { input } }).success).toBe(false)
})

test('calls that run together share the time, and the shares add up to the busy time', () => {
  const shares = new BusyShares()
  const first = shares.begin('chat', 0)
  const second = shares.begin('chat', 100)
  const firstMs = shares.end('chat', first, 300)
  const secondMs = shares.end('chat', second, 350)
  expect([firstMs, secondMs]).toEqual([200, 150])
  expect(firstMs + secondMs).toBe(350)
})
