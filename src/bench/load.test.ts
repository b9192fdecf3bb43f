import { expect, test } from 'vitest'
import { SeededRandom, type Random } from '#base/random'
import { arrivalTimesMs, loadName } from './load.ts'

function first(count: number, arrivals: Generator<number, never>): number[] {
  return Array.from({ length: count }, () => arrivals.next().value)
}

test('constant arrivals begin at once and come at the rate', () => {
  expect(first(4, arrivalTimesMs({ ratePerS: 4, process: 'constant' }, new SeededRandom(1)))).toEqual([0, 250, 500, 750])
})

test('gaps of a Poisson process are -ln(1 - u) / rate', () => {
  const draws = [0, 0.5, 0.75]
  const random = { nextFloat: () => draws.shift()! } as unknown as Random
  const times = first(4, arrivalTimesMs({ ratePerS: 2, process: 'poisson' }, random))
  expect(times).toEqual([0, 0, Math.LN2 * 500, Math.LN2 * 500 + 2 * Math.LN2 * 500])
})

test('Poisson arrivals have the rate, and gaps whose deviation is their mean', () => {
  const times = first(20_001, arrivalTimesMs({ ratePerS: 10, process: 'poisson' }, new SeededRandom(3)))
  const gaps = times.slice(1).map((time, index) => time - times[index]!)
  const mean = times.at(-1)! / gaps.length
  const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length)
  expect(Math.abs(mean - 100)).toBeLessThan(2)
  expect(Math.abs(deviation / mean - 1)).toBeLessThan(0.03)
})

test('without a bound on the rate all are due at once', () => {
  expect(first(3, arrivalTimesMs({ ratePerS: Infinity, process: 'poisson' }, new SeededRandom(1)))).toEqual([0, 0, 0])
})

test('the same seed gives the same arrivals', () => {
  const run = (seed: number): number[] => first(50, arrivalTimesMs({ ratePerS: 3, process: 'poisson' }, new SeededRandom(seed)))
  expect(run(5)).toEqual(run(5))
  expect(run(5)).not.toEqual(run(6))
})

test('loads have names', () => {
  expect(loadName({ kind: 'closed', concurrency: 8 })).toBe('8 at a time')
  expect(loadName({ kind: 'open', ratePerS: 2.5, process: 'poisson' })).toBe('2.5/s')
  expect(loadName({ kind: 'open', ratePerS: Infinity, process: 'poisson' })).toBe('all at once')
})
