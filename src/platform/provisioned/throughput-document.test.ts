import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pricesSection } from '#config/platform-file/prices'
import type { ProvisionedOrder } from '#contract/provisioned'
import { documentOf, dueHours, type ThroughputDocument } from './throughput-document.ts'

const HOUR_MS = 3_600_000
const PRICE = pricesSection.parse({ chat: { modelUnit: { perHour: '36', oneMonth: '18' } } })['chat']!.modelUnit
const ORDER: ProvisionedOrder = { team: 't', keyId: 'k', name: 'n', model: 'chat', units: 2, commitment: 'none', tags: {}, token: null }
const DOCUMENT = documentOf(ORDER, 'chat', 0)
const dollars = (cost: bigint): number => Number(cost) / 1e12

test.each([
  ['nothing before an hour is over', 59 * 60_000, false, null],
  ['whole hours', 1.5 * HOUR_MS, false, { toMs: HOUR_MS, usd: 72 }],
  ['what is left, at the end', 1.5 * HOUR_MS, true, { toMs: 1.5 * HOUR_MS, usd: 108 }],
  ['nothing for a time in which no server ran', 5 * HOUR_MS, false, { toMs: 5 * HOUR_MS, usd: 0 }],
  ['nothing when the clock went back', -HOUR_MS, true, null],
])('%s is due', (_, nowMs, isLast, due) => {
  const found = dueHours(DOCUMENT, PRICE, { nowMs, isLast })
  expect(found === null ? null : { toMs: found.toMs, usd: dollars(found.cost) }).toEqual(due)
})

test('a committed unit has its own price', () => {
  const committed = documentOf({ ...ORDER, commitment: 'one-month' }, 'chat', 0)
  expect(dollars(dueHours(committed, PRICE, { nowMs: HOUR_MS, isLast: false })!.cost)).toBe(36)
})

test('whenever it is looked at, in total each hour is paid for once', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: HOUR_MS }), { minLength: 1, maxLength: 40 }), (steps) => {
      let document: ThroughputDocument = DOCUMENT
      let nowMs = 0
      let total = 0n
      for (const [index, step] of steps.entries()) {
        nowMs += step
        const due = dueHours(document, PRICE, { nowMs, isLast: index === steps.length - 1 })
        if (due === null) continue
        expect(due.fromMs).toBe(document.billedUntilMs)
        total += due.cost
        document = { ...document, billedUntilMs: due.toMs }
      }
      expect(dollars(total)).toBeCloseTo((nowMs / HOUR_MS) * 72, 9)
    }),
    { seed: 3 },
  )
})

test.each([
  ['2026-01-31T12:00:00.000Z', 'one-month', '2026-02-28T12:00:00.000Z'],
  ['2026-08-31T12:00:00.000Z', 'six-months', '2027-02-28T12:00:00.000Z'],
  ['2026-12-15T00:00:00.000Z', 'one-month', '2027-01-15T00:00:00.000Z'],
] as const)('what begins at %s for %s ends at %s', (start, commitment, end) => {
  const { commitmentEndsMs } = documentOf({ ...ORDER, commitment }, 'chat', Date.parse(start))
  expect(new Date(commitmentEndsMs!).toISOString()).toBe(end)
})
