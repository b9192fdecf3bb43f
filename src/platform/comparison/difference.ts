/** How much two samples differ, b - a, with a confidence interval: means by Welch, rates and quantiles by the square-and-add rule of Newcombe. Pure. */
import { assert } from '#base/assert'
import { studentQuantile } from './student-t.ts'

export interface SampleMoments {
  readonly count: number
  readonly mean: number
  /** With count - 1 below; unused when count < 2. */
  readonly variance: number
}

export interface SampleRate {
  readonly count: number
  /** At most `count`. */
  readonly hits: number
}

/** Of the normal distribution at 0.8. */
const POWER_QUANTILE = 0.8416212335729143

/** low <= estimate <= high. */
export interface Difference {
  readonly estimate: number
  readonly low: number
  readonly high: number
}

/** Welch 1947, degrees of freedom by Satterthwaite. Null = fewer than two samples on a side: nothing is known of its spread. */
export function meanDifference(a: SampleMoments, b: SampleMoments, confidence: number): Difference | null {
  if (a.count < 2 || b.count < 2) return null
  const estimate = b.mean - a.mean
  const ofA = a.variance / a.count
  const ofB = b.variance / b.count
  const squared = ofA + ofB
  if (squared === 0) return { estimate, low: estimate, high: estimate }
  const shareA = ofA / squared
  const shareB = ofB / squared
  const degrees = 1 / (shareA ** 2 / (a.count - 1) + shareB ** 2 / (b.count - 1))
  const margin = studentQuantile((1 + confidence) / 2, degrees) * Math.sqrt(squared)
  return { estimate, low: estimate - margin, high: estimate + margin }
}

/** Newcombe 1998, method 10: Wilson's intervals of the two rates, combined. Null = no samples on a side. */
export function rateDifference(a: SampleRate, b: SampleRate, confidence: number): Difference | null {
  if (a.count === 0 || b.count === 0) return null
  const z = studentQuantile((1 + confidence) / 2, Infinity)
  const ofA = wilson(a, z)
  const ofB = wilson(b, z)
  const estimate = ofB.estimate - ofA.estimate
  return {
    estimate,
    low: estimate - Math.hypot(ofB.estimate - ofB.low, ofA.high - ofA.estimate),
    high: estimate + Math.hypot(ofB.high - ofB.estimate, ofA.estimate - ofA.low),
  }
}

/**
 * Of the q-quantiles: each has the interval of its order statistics (Conover 1999, 3.2; the binomial by its normal approximation), and the two are
 * combined as rates are. Null = too few samples for an interval that reaches no end of them.
 */
export function quantileDifference(a: readonly number[], b: readonly number[], q: number, confidence: number): Difference | null {
  const z = studentQuantile((1 + confidence) / 2, Infinity)
  const ofA = quantileInterval(a, q, z)
  const ofB = quantileInterval(b, q, z)
  if (ofA === null || ofB === null) return null
  const estimate = ofB.estimate - ofA.estimate
  return {
    estimate,
    low: estimate - Math.hypot(ofB.estimate - ofB.low, ofA.high - ofA.estimate),
    high: estimate + Math.hypot(ofB.high - ofB.estimate, ofA.estimate - ofA.low),
  }
}

function quantileInterval(values: readonly number[], q: number, z: number): Difference | null {
  const count = values.length
  const spread = z * Math.sqrt(count * q * (1 - q))
  const low = Math.floor(count * q - spread)
  const high = Math.ceil(count * q + spread)
  if (low < 0 || high >= count) return null
  const sorted = Float64Array.from(values).sort()
  return { estimate: sorted[Math.min(count - 1, Math.floor(count * q))]!, low: sorted[low]!, high: sorted[high]! }
}

/** Calls on each side that show a difference of `effect` in four of five tries, for a quantity with such a variance on both. */
export function callsNeeded(variance: number, effect: number, confidence: number): number {
  const z = studentQuantile((1 + confidence) / 2, Infinity) + POWER_QUANTILE
  return Math.ceil((2 * variance * z * z) / (effect * effect))
}

/** Wilson's score interval of one rate. */
function wilson({ count, hits }: SampleRate, z: number): Difference {
  assert(hits >= 0 && hits <= count, 'hits are some of the samples')
  const estimate = hits / count
  const square = z * z
  const centre = (hits + square / 2) / (count + square)
  const margin = (z / (count + square)) * Math.sqrt((hits * (count - hits)) / count + square / 4)
  return { estimate, low: Math.min(estimate, centre - margin), high: Math.max(estimate, centre + margin) }
}
