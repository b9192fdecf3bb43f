import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pricesSection } from '#config/platform-file/prices'
import { NO_USAGE } from '#contract/generate'
import type { BuyingMode, ModeCost, ModePlan } from '#contract/mode-plan'
import { compareModes, type ModePrices, type TrafficMinute } from './compare-modes.ts'

const MINUTE_MS = 60_000
const DAY = 1440
const UNITS = { maxUnits: 100, inputTokensPerMinute: 1000, outputTokensPerMinute: 500 }

function pricesOf(words: object): ModePrices {
  return { row: pricesSection.parse({ m: words })['m']!, units: UNITS }
}

const FULL = pricesOf({ input: 1, output: 2, perHour: 1, batch: 0.5, tiers: { flex: 0.5 }, modelUnit: { perHour: 0.1, oneMonth: 0.05 } })

/** One minute after the other for a day. */
function steady(input: number, output: number, billedMs = 100): readonly TrafficMinute[] {
  return Array.from({ length: DAY }, (_, minute) => ({
    minute,
    numRequests: 2,
    usage: { ...NO_USAGE, promptTokens: input, completionTokens: output },
    billedMs,
    patientTokens: 0,
  }))
}

const planOf = (minutes: readonly TrafficMinute[], prices = FULL): ModePlan => compareModes('m', minutes, prices, DAY * MINUTE_MS)
const costOf = (plan: ModePlan, mode: BuyingMode, commitment = 'none'): ModeCost =>
  plan.modes.find((each) => each.mode === mode && each.commitment === commitment)!

test('a day of traffic is priced as a month of 730 hours', () => {
  const plan = planOf(steady(1000, 500))
  const perDay = DAY * (1000 * 1e-6 + 500 * 2e-6)
  expect(costOf(plan, 'on-demand').usdPerMonth).toBeCloseTo((perDay * 730) / 24, 6)
  expect(costOf(plan, 'batch').usdPerMonth).toBeCloseTo((perDay * 730) / 24 / 4, 6)
  expect(costOf(plan, 'serverless').usdPerMonth).toBeCloseTo(((DAY * 0.1) / 3600) * (730 / 24), 6)
  expect(costOf(plan, 'provisioned')).toMatchObject({ usdPerMonth: 73, units: 1, utilisation: 1, spilledShare: 0 })
  expect(costOf(plan, 'provisioned', 'one-month').usdPerMonth).toBeCloseTo(36.5, 9)
  expect(plan.cheapest?.mode).toBe('serverless')
  expect(plan.modes.map(({ usdPerMonth }) => usdPerMonth)).toEqual(plan.modes.map(({ usdPerMonth }) => usdPerMonth).toSorted((a, b) => a! - b!))
})

test('where the traffic has one high hour, units are bought for the rest and the hour spills over', () => {
  const minutes = steady(1000, 100, 60_000).map((minute, index) =>
    index < 60 ? { ...minute, usage: { ...minute.usage, promptTokens: 50_000 } } : minute,
  )
  const { units, spilledShare, usdPerMonth } = costOf(planOf(minutes), 'provisioned')
  expect(units).toBeLessThan(10)
  expect(spilledShare).toBeGreaterThan(0.5)
  expect(usdPerMonth).toBeGreaterThan(units! * 73)
})

test('the number of units is the one that costs least, whatever the traffic', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(20_000), fc.nat(5000)), { minLength: 20, maxLength: 40 }), (loads) => {
      const minutes = loads.map(([input, output], minute): TrafficMinute => ({ ...steady(input, output)[0]!, minute }))
      const prices = { ...FULL, units: { ...UNITS, maxUnits: 12 } }
      const plan = compareModes('m', minutes, prices, loads.length * MINUTE_MS)
      const each = Array.from({ length: 12 }, (_, index) => {
        const capped = compareModes('m', minutes, { ...prices, units: { ...UNITS, maxUnits: index + 1 } }, loads.length * MINUTE_MS)
        return costOf(capped, 'provisioned').usdPerMonth!
      })
      expect(costOf(plan, 'provisioned').usdPerMonth).toBeCloseTo(Math.min(...each), 6)
    }),
    { seed: 5, numRuns: 60 },
  )
})

test('at the break-even one unit costs what on demand does', () => {
  const plan = planOf(steady(400, 100))
  const found = plan.breakEvens.find(({ cheaperBelow }) => cheaperBelow === 'on-demand')!
  const scale = found.at / found.measured
  const there = planOf(
    steady(400 * scale, 100 * scale).map((minute) => ({
      ...minute,
      usage: { ...minute.usage, promptTokens: Math.round(400 * scale), completionTokens: Math.round(100 * scale) },
    })),
  )
  expect(costOf(there, 'on-demand').usdPerMonth! / 73).toBeCloseTo(1, 2)
})

test('at the break-even of a request its milliseconds cost what its tokens do', () => {
  const at = planOf(steady(400, 100)).breakEvens.find(({ measure }) => measure === 'ms-per-request')!.at
  const there = planOf(steady(400, 100, 2 * at))
  expect(costOf(there, 'serverless').usdPerMonth! / costOf(there, 'on-demand').usdPerMonth!).toBeCloseTo(1, 6)
})

test.each<[string, ModePrices, BuyingMode, string]>([
  ['tokens', pricesOf({ perHour: 1 }), 'on-demand', 'prices.m.input'],
  ['hours', pricesOf({ input: 1 }), 'serverless', 'prices.m.perHour'],
  ['units', pricesOf({ input: 1 }), 'provisioned', 'prices.m.modelUnit'],
  ['units that are not sold', { ...FULL, units: null }, 'provisioned', 'provisioned.m'],
  ['anything', { row: null, units: null }, 'on-demand', 'prices.m.input'],
])('without a price of %s the plan says which setting is missing', (_, prices, mode, missing) => {
  expect(costOf(planOf(steady(10, 10), prices), mode)).toMatchObject({ usdPerMonth: null, missing })
})

test('little traffic is doubted', () => {
  const plan = compareModes('m', steady(10, 10).slice(0, 3), FULL, 3 * MINUTE_MS)
  expect(plan.doubts).toEqual(['only 6 requests were measured', expect.stringContaining('0.1 hours') as string])
})
