/** What a q8_0 cache keeps of a row. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { quantizeKvRow } from './quantize-kv-row.ts'

function quantized(values: readonly number[]): number[] {
  const row = Float32Array.from(values)
  quantizeKvRow(row, 0, row.length)
  return [...row]
}

const SEED = 20261201
const groups = fc.array(fc.float({ min: -Math.fround(1e5), max: Math.fround(1e5), noNaN: true }), { minLength: 1, maxLength: 32 })

test('every value stays within half of a step, a step being the largest magnitude over 127 and a two-thousandth more at most', () => {
  fc.assert(
    fc.property(groups, (values) => {
      const largest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
      const step = Math.max((largest / 127) * (1 + 2 ** -10), 2 ** -24)
      for (const [i, value] of quantized(values).entries())
        expect(Math.abs(value - values[i]!)).toBeLessThanOrEqual(0.5001 * Math.max(step, largest / 127 + 2 ** -24))
    }),
    { seed: SEED, numRuns: 300 },
  )
})

test('groups of 32 columns have scales of their own, and the row before the start is left alone', () => {
  const row = Float32Array.of(9, ...Array.from({ length: 32 }, () => 127), 0.5, -1)
  quantizeKvRow(row, 1, 34)
  expect([...row.slice(0, 33)]).toEqual([9, ...Array.from({ length: 32 }, () => 127)])
  expect(row[34]).toBeCloseTo(-1, 2)
  expect(row[33]).toBeCloseTo(0.5, 2)
})

test('zeros stay zeros', () => {
  expect(quantized([0, 0, 0])).toEqual([0, 0, 0])
})

test('a group with a column that is not finite, or too large for an f16 scale, is not a number', () => {
  for (const bad of [Infinity, -Infinity, Number.NaN, 1e7]) expect(quantized([1, bad])).toEqual([Number.NaN, Number.NaN])
})
