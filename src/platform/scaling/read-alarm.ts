/**
 * Whether a condition over the samples of a variant holds. Periods slide: the last one ends now. A period that was not watched from its
 * beginning, or of which nothing is known, is missing. Pure.
 */
import type { AlarmCondition, AlarmState, ScalingMetric } from '#contract/scaling'
import type { CapacitySample } from './decide-capacity.ts'

export interface AlarmReading {
  readonly state: AlarmState
  readonly reason: string
}

const MINUTE_MS = 60_000
/** They say how full each replica is. */
const RATIOS: ReadonlySet<ScalingMetric> = new Set(['kv-usage', 'queue-wait'])

export function isRatio(metric: ScalingMetric): boolean {
  return RATIOS.has(metric)
}

/** `before`: what it was, where missing data changes nothing. */
export function readAlarm(condition: AlarmCondition, samples: readonly CapacitySample[], nowMs: number, before: AlarmState): AlarmReading {
  const { numPeriods, numBreaching, missing, periodMs } = condition
  const values = Array.from({ length: numPeriods }, (_, index) => periodValue(condition, condition.statistic, samples, nowMs - index * periodMs))
  const known = values.filter((value) => value !== null)
  const numMissing = numPeriods - known.length
  const numPast = known.filter((value) => isPast(condition, value)).length + (missing === 'breaching' ? numMissing : 0)
  const told = known.slice(0, 3).map(round).join(', ')
  const reason = `${condition.metric} was ${told === '' ? 'not known' : told} in the last periods of ${periodMs / 1000} s`
  if (numPast >= numBreaching) return { state: 'alarm', reason }
  if (numMissing === 0 || missing === 'not-breaching' || missing === 'breaching') return { state: 'ok', reason }
  if (missing === 'ignore') return { state: numPast + numMissing < numBreaching ? 'ok' : before, reason }
  if (known.length === 0) return { state: 'unknown', reason }
  return { state: numPast >= Math.min(numBreaching, known.length) ? 'alarm' : 'ok', reason }
}

/** Of the period that ends at `untilMs`; null = missing. */
export function periodValue(
  { metric, of, periodMs }: Pick<AlarmCondition, 'metric' | 'of' | 'periodMs'>,
  statistic: AlarmCondition['statistic'],
  samples: readonly CapacitySample[],
  untilMs: number,
): number | null {
  const fromMs = untilMs - periodMs
  const first = samples[0]
  if (first === undefined || first.atMs > fromMs) return null
  const values = samples.flatMap(({ atMs, replicas, values: all }) => {
    const value = atMs > fromMs && atMs <= untilMs ? all[metric] : null
    if (value === null) return []
    if (of === 'unserved') return value > 0 && replicas === 0 ? 1 : 0
    return of === 'variant' || isRatio(metric) ? value : value / Math.max(1, replicas)
  })
  if (values.length === 0) return null
  const average = values.reduce((sum, value) => sum + value, 0) / values.length
  switch (statistic) {
    case 'average':
      return average
    case 'sum':
      return (average * periodMs) / MINUTE_MS
    case 'minimum':
      return Math.min(...values)
    case 'maximum':
      return Math.max(...values)
  }
}

function isPast({ operator, threshold }: AlarmCondition, value: number): boolean {
  switch (operator) {
    case 'above':
      return value > threshold
    case 'at-or-above':
      return value >= threshold
    case 'below':
      return value < threshold
    case 'at-or-below':
      return value <= threshold
  }
}

function round(value: number): number {
  return Number(value.toPrecision(4))
}
