import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { BoundedSample, distributionOf, percentile } from './distribution.ts'

test('a percentile lies straight between its two neighbours, as in numpy', () => {
  expect([0, 25, 50, 90, 100].map((p) => percentile([10, 20, 30, 50], p))).toEqual([10, 17.5, 25, 44, 50])
  expect(percentile([7], 99)).toBe(7)
})

test('a distribution has mean, percentiles and maximum of values in any order', () => {
  const values = Array.from({ length: 101 }, (_, index) => (index * 37) % 101)
  expect(distributionOf(values)).toEqual({
    count: 101,
    mean: 50,
    p50: 50,
    p90: 90,
    p95: 95,
    p99: 99,
    max: 100,
    percentiles: Array.from({ length: 101 }, (_, index) => index),
  })
  expect(distributionOf([])).toBe(null)
})

test('percentiles never fall, and lie between the least and the largest value', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 50 }), (values) => {
      const { percentiles, max } = distributionOf(values)!
      expect(percentiles[0]).toBe(Math.min(...values))
      expect(max).toBe(Math.max(...values))
      for (let index = 1; index < percentiles.length; index++) expect(percentiles[index]!).toBeGreaterThanOrEqual(percentiles[index - 1]!)
    }),
    { seed: 1, numRuns: 200 },
  )
})

test('a bounded sample is exact up to its capacity, and beyond it keeps count, mean and maximum exact', () => {
  const exact = new BoundedSample(100, new SeededRandom(1))
  for (let value = 1; value <= 100; value++) exact.add(value)
  expect(exact.distribution()).toEqual(distributionOf(Array.from({ length: 100 }, (_, index) => index + 1)))
  const sampled = new BoundedSample(1000, new SeededRandom(1))
  for (let value = 1; value <= 100_000; value++) sampled.add(value)
  const { count, mean, max, p50, p99 } = sampled.distribution()!
  expect([count, mean, max]).toEqual([100_000, 50_000.5, 100_000])
  expect(Math.abs(p50 - 50_000)).toBeLessThan(5000)
  expect(Math.abs(p99 - 99_000)).toBeLessThan(1000)
  expect(new BoundedSample(1, new SeededRandom(1)).distribution()).toBe(null)
})
