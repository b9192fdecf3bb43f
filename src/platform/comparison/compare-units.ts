/** From the calls of two units to what can be said of their difference, metric by metric. Pure. */
import type { ComparedMetric, MetricComparison, Verdict } from '#contract/comparison'
import type { CallSample } from '#platform/store/usage-samples'
import { callsNeeded, type Difference, meanDifference, quantileDifference, rateDifference, type SampleMoments } from './difference.ts'

export interface UnitCalls {
  readonly numCalls: number
  readonly numErrors: number
  /** Of answered calls. */
  readonly samples: readonly CallSample[]
}

/** Each gets a verdict of its own. */
export const COMPARED_METRICS: readonly ComparedMetric[] = ['ttft', 'ttft-p95', 'tpot', 'duration', 'error-rate', 'cost', 'output-tokens']

const FEW_CALLS = 30
const P95 = 0.95
/** What is worth seeing: a tenth of a time or a sum, one call in a hundred. */
const RATIO_EFFECT = 0.1
const RATE_EFFECT = 0.01

/** `confidence`: of each interval. */
export function compareUnits(baseline: UnitCalls, candidate: UnitCalls, confidence: number): readonly MetricComparison[] {
  return COMPARED_METRICS.map((metric) => {
    switch (metric) {
      case 'error-rate':
        return compareErrors(baseline, candidate, confidence)
      case 'ttft-p95':
        return compareTails(valuesOf('ttft', baseline), valuesOf('ttft', candidate), confidence)
      case 'ttft':
      case 'tpot':
      case 'duration':
        return compareTimes(metric, valuesOf(metric, baseline), valuesOf(metric, candidate), confidence)
      case 'cost':
      case 'output-tokens':
        return compareMeans(metric, valuesOf(metric, baseline), valuesOf(metric, candidate), confidence)
    }
  })
}

/** Times are spread like their logarithms are: what is compared is how many times as long. */
function compareTimes(metric: ComparedMetric, before: readonly number[], after: readonly number[], confidence: number): MetricComparison {
  const [a, b] = [momentsOf(before.map(logOf)), momentsOf(after.map(logOf))]
  const found = meanDifference(a, b, confidence)
  return {
    metric,
    scale: 'ratio',
    baseline: a.count === 0 ? null : Math.exp(a.mean),
    candidate: b.count === 0 ? null : Math.exp(b.mean),
    estimate: found === null ? null : Math.exp(found.estimate),
    low: found === null ? null : Math.exp(found.low),
    high: found === null ? null : Math.exp(found.high),
    verdict: verdictOf(metric, found, Math.min(a.count, b.count)),
    callsNeeded: found === null ? null : callsNeeded((a.variance + b.variance) / 2, Math.log1p(RATIO_EFFECT), confidence),
  }
}

function compareTails(before: readonly number[], after: readonly number[], confidence: number): MetricComparison {
  const found = quantileDifference(before, after, P95, confidence)
  return {
    metric: 'ttft-p95',
    scale: 'difference',
    baseline: quantileOf(before),
    candidate: quantileOf(after),
    estimate: found?.estimate ?? null,
    low: found?.low ?? null,
    high: found?.high ?? null,
    verdict: verdictOf('ttft-p95', found, Math.min(before.length, after.length)),
    callsNeeded: null,
  }
}

function compareMeans(metric: ComparedMetric, before: readonly number[], after: readonly number[], confidence: number): MetricComparison {
  const [a, b] = [momentsOf(before), momentsOf(after)]
  const found = meanDifference(a, b, confidence)
  return {
    metric,
    scale: 'difference',
    baseline: a.count === 0 ? null : a.mean,
    candidate: b.count === 0 ? null : b.mean,
    estimate: found?.estimate ?? null,
    low: found?.low ?? null,
    high: found?.high ?? null,
    verdict: verdictOf(metric, found, Math.min(a.count, b.count)),
    callsNeeded: found === null || a.mean === 0 ? null : callsNeeded((a.variance + b.variance) / 2, a.mean * RATIO_EFFECT, confidence),
  }
}

function compareErrors(before: UnitCalls, after: UnitCalls, confidence: number): MetricComparison {
  const rate = ({ numCalls, numErrors }: UnitCalls): number | null => (numCalls === 0 ? null : numErrors / numCalls)
  const found = rateDifference({ count: before.numCalls, hits: before.numErrors }, { count: after.numCalls, hits: after.numErrors }, confidence)
  const pooled = (before.numErrors + after.numErrors) / Math.max(1, before.numCalls + after.numCalls)
  return {
    metric: 'error-rate',
    scale: 'difference',
    baseline: rate(before),
    candidate: rate(after),
    estimate: found?.estimate ?? null,
    low: found?.low ?? null,
    high: found?.high ?? null,
    verdict: verdictOf('error-rate', found, Math.min(before.numCalls, after.numCalls)),
    // Where none failed yet, as if one in a hundred did.
    callsNeeded: found === null ? null : callsNeeded(Math.max(pooled, RATE_EFFECT) * (1 - pooled), RATE_EFFECT, confidence),
  }
}

/** `found`: on a scale where 0 is no difference. All but the length of answers are better when they are less. */
function verdictOf(metric: ComparedMetric, found: Difference | null, numCalls: number): Verdict {
  if (found === null || numCalls < FEW_CALLS) return 'too-little-data'
  if (found.low <= 0 && found.high >= 0) return 'no-difference-shown'
  if (metric === 'output-tokens') return 'changed'
  return found.high < 0 ? 'better' : 'worse'
}

function valuesOf(metric: 'ttft' | 'tpot' | 'duration' | 'cost' | 'output-tokens', { samples }: UnitCalls): readonly number[] {
  const read = (sample: CallSample): number | null => {
    switch (metric) {
      case 'ttft':
        return sample.ttftMs
      case 'tpot':
        return sample.tpotMs
      case 'duration':
        return sample.durationMs
      case 'cost':
        return sample.cost
      case 'output-tokens':
        return sample.outputTokens
    }
  }
  return samples.map(read).filter((value) => value !== null)
}

/** A clock ticks in microseconds: nothing takes less. */
function logOf(durationMs: number): number {
  return Math.log(Math.max(durationMs, 0.001))
}

function momentsOf(values: readonly number[]): SampleMoments {
  const count = values.length
  const mean = count === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / count
  const variance = count < 2 ? 0 : values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1)
  return { count, mean, variance }
}

function quantileOf(values: readonly number[]): number | null {
  if (values.length === 0) return null
  return values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * P95))]!
}
