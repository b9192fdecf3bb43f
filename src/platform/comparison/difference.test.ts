/** Intervals of differences: against SciPy and statsmodels, and how often they cover the truth. */
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { callsNeeded, meanDifference, quantileDifference, rateDifference, type SampleMoments } from './difference.ts'
import { studentQuantile } from './student-t.ts'

function moments(values: readonly number[]): SampleMoments {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)
  return { count: values.length, mean, variance }
}

/** scipy 1.17.1: stats.t.ppf(probability, degrees). */
test.each([
  [0.975, 1, 12.706204736174694],
  [0.975, 3.7, 2.8675207071911895],
  [0.95, 30, 1.697260886593957],
  [0.995, 1e6, 2.5758342201053344],
])('the quantile %d of t with %d degrees of freedom is that of SciPy', (probability, degrees, expected) => {
  expect(studentQuantile(probability, degrees)).toBeCloseTo(expected, 8)
})

/** scipy 1.17.1: stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95). */
test('the interval of a difference of means is that of SciPy', () => {
  const result = meanDifference(moments([120, 131, 118, 140, 125]), moments([150, 139, 171, 160, 155, 148, 166]), 0.95)!
  expect(result.low).toBeCloseTo(15.866093700298247, 9)
  expect(result.high).toBeCloseTo(41.67676344255892, 9)
})

/** statsmodels 0.15.0: confint_proportions_2indep(hitsB, countB, hitsA, countA, method='newcomb', compare='diff'). */
test.each([
  [48, 80, 56, 70, 0.05243147240236498, 0.33387265403690614],
  [0, 10, 9, 10, 0.48825773377113824, 0.982123786904927],
  [0, 1000, 3, 1000, -0.001308291651214999, 0.008783014053503176],
])('the interval from %d of %d to %d of %d is that of statsmodels', (hitsA, countA, hitsB, countB, low, high) => {
  const result = rateDifference({ count: countA, hits: hitsA }, { count: countB, hits: hitsB }, 0.95)!
  expect(result.low).toBeCloseTo(low, 5)
  expect(result.high).toBeCloseTo(high, 5)
})

test('one sample on a side says nothing of means, none nothing of rates', () => {
  const many = { count: 5, mean: 1, variance: 1 }
  expect(meanDifference({ count: 1, mean: 1, variance: 0 }, many, 0.95)).toBeNull()
  expect(rateDifference({ count: 0, hits: 0 }, { count: 5, hits: 1 }, 0.95)).toBeNull()
})

test('samples without spread differ by exactly their difference', () => {
  const result = meanDifference({ count: 9, mean: 2, variance: 0 }, { count: 9, mean: 5, variance: 0 }, 0.95)
  expect(result).toEqual({ estimate: 3, low: 3, high: 3 })
})

test('swapped samples have the mirrored interval', () => {
  const forth = rateDifference({ count: 80, hits: 48 }, { count: 70, hits: 56 }, 0.95)!
  const back = rateDifference({ count: 70, hits: 56 }, { count: 80, hits: 48 }, 0.95)!
  expect(back.low).toBeCloseTo(-forth.high, 12)
  expect(back.high).toBeCloseTo(-forth.low, 12)
})

test('of 1,000 intervals at 95 %, between 930 and 970 cover the true difference of means', () => {
  const random = new SeededRandom(41)
  let covered = 0
  for (let run = 0; run < 1000; run++) {
    const a = moments(Array.from({ length: 30 }, () => normal(random) * 10 + 100))
    const b = moments(Array.from({ length: 50 }, () => normal(random) * 25 + 107))
    const { low, high } = meanDifference(a, b, 0.95)!
    if (low <= 7 && high >= 7) covered++
  }
  expect(covered).toBeGreaterThanOrEqual(930)
  expect(covered).toBeLessThanOrEqual(970)
})

test('of 1,000 intervals at 95 %, between 930 and 970 cover the true difference of rates', () => {
  const random = new SeededRandom(42)
  const draw = (count: number, rate: number) => ({
    count,
    hits: Array.from({ length: count }, () => random.nextFloat() < rate).filter(Boolean).length,
  })
  let covered = 0
  for (let run = 0; run < 1000; run++) {
    const { low, high } = rateDifference(draw(300, 0.1), draw(400, 0.15), 0.95)!
    if (low <= 0.05 && high >= 0.05) covered++
  }
  expect(covered).toBeGreaterThanOrEqual(930)
  expect(covered).toBeLessThanOrEqual(970)
})

test('of 1,000 pairs of samples at least 940 intervals of the difference of their 95th percentiles hold the true one', () => {
  const random = new SeededRandom(43)
  const draw = (count: number, shift: number): readonly number[] => Array.from({ length: count }, () => Math.exp(normal(random) * 0.5 + shift))
  const truth = Math.exp(0.5 * 1.6448536269514722 + 1.2) - Math.exp(0.5 * 1.6448536269514722 + 1)
  let covered = 0
  for (let run = 0; run < 1000; run++) {
    const { low, high } = quantileDifference(draw(400, 1), draw(600, 1.2), 0.95, 0.95)!
    if (low <= truth && high >= truth) covered++
  }
  // Its ends are samples, taken outwards: it is a little too wide.
  expect(covered).toBeGreaterThanOrEqual(940)
  expect(covered).toBeLessThanOrEqual(995)
})

test('a quantile of so few samples that its interval would reach their end is not compared', () => {
  const few = Array.from({ length: 50 }, (_, index) => index)
  expect(quantileDifference(few, few, 0.95, 0.95)).toBeNull()
})

/** statsmodels 0.15.0: NormalIndPower().solve_power(effect_size, alpha=0.05, power=0.8) is 392.44 for 0.2 and 62.79 for 0.5. */
test.each([
  [0.2, 393],
  [0.5, 63],
])('an effect of %d standard deviations needs as many samples as statsmodels says', (effect, needed) => {
  expect(callsNeeded(1, effect, 0.95)).toBe(needed)
})

/** Box and Muller. */
function normal(random: SeededRandom): number {
  return Math.sqrt(-2 * Math.log(1 - random.nextFloat())) * Math.cos(2 * Math.PI * random.nextFloat())
}
