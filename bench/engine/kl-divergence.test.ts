import fc from 'fast-check'
import { expect, test } from 'vitest'
import { divergence } from './kl-divergence.ts'

const row = fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 4, maxLength: 4 }).map((values) => Float32Array.from(values))

test('it is the textbook value for two known distributions', () => {
  const [p, q] = [
    [0.5, 0.5],
    [0.9, 0.1],
  ].map((values) => Float32Array.from(values, Math.log)) as [Float32Array, Float32Array]
  expect(divergence(p, q, 2).mean).toBeCloseTo(0.5 * Math.log(0.5 / 0.9) + 0.5 * Math.log(0.5 / 0.1), 6)
})

test('it is never negative, nothing between equals, and does not see a constant that is added to a row', () => {
  fc.assert(
    fc.property(row, row, fc.integer({ min: -8, max: 8 }), (p, q, shift) => {
      const far = divergence(p, q, 4)
      expect(far.mean).toBeGreaterThan(-1e-9)
      expect(divergence(p, p, 4)).toEqual({ mean: 0, max: 0, sameBest: 1 })
      expect(
        divergence(
          p,
          q.map((value) => value + shift),
          4,
        ).mean,
      ).toBeCloseTo(far.mean, 4)
    }),
    { seed: 6, numRuns: 200 },
  )
})

test('rows are taken one by one', () => {
  const [reference, other] = [Float32Array.of(0, 5, 5, 0), Float32Array.of(0, 5, 0, 5)]
  const { mean, max, sameBest } = divergence(reference, other, 2)
  expect(max).toBeCloseTo(2 * mean, 6)
  expect(sameBest).toBe(0.5)
})

test('rows that do not fit are refused', () => {
  expect(() => divergence(new Float32Array(4), new Float32Array(2), 2)).toThrow(RangeError)
  expect(() => divergence(new Float32Array(3), new Float32Array(3), 2)).toThrow(RangeError)
})
