/** `GET /inferd/v1/deployments/endpoints/NAME/comparison`: the query in, the comparison out. */
import type { ComparedUnit, Comparison, ComparisonQuery, MetricComparison } from '#contract/comparison'
import type { JsonRecord } from '#contract/generate'
import { invalid } from '#server/fields'
import { timeOf } from './usage-query.ts'

const KNOWN = ['baseline', 'from', 'to']
const UNIT = /^[\w-]{1,128}(?:@\d{1,9})?$/

export function readComparisonQuery(endpoint: string, query: URLSearchParams): ComparisonQuery {
  for (const name of query.keys()) if (!KNOWN.includes(name)) throw invalid(name, `${name} is not known here; known are ${KNOWN.join(', ')}`)
  const baseline = query.get('baseline')
  if (baseline !== null && !UNIT.test(baseline)) throw invalid('baseline', 'baseline must be a variant, or VARIANT@GENERATION')
  const fromMs = timeOf(query, 'from')
  const toMs = timeOf(query, 'to')
  if (fromMs !== null && toMs !== null && fromMs >= toMs) throw invalid('to', 'to must be later than from')
  return { endpoint, baseline, fromMs, toMs }
}

export function encodeComparison({ endpoint, fromMs, toMs, baseline, comparisons, confidence, numVerdicts }: Comparison): JsonRecord {
  return {
    object: 'comparison',
    endpoint,
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    baseline: encodeUnit(baseline),
    comparisons: comparisons.map(({ candidate, metrics }) => ({ candidate: encodeUnit(candidate), metrics: metrics.map(encodeMetric) })),
    confidence,
    verdicts: numVerdicts,
  }
}

function encodeUnit({ name, isShadow, numCalls, numErrors, numSampled }: ComparedUnit): JsonRecord {
  return { name, shadow: isShadow, calls: numCalls, errors: numErrors, sampled: numSampled }
}

function encodeMetric({ callsNeeded, baseline, candidate, estimate, low, high, ...rest }: MetricComparison): JsonRecord {
  return {
    ...rest,
    baseline: rounded(baseline),
    candidate: rounded(candidate),
    estimate: rounded(estimate),
    low: rounded(low),
    high: rounded(high),
    calls_needed: callsNeeded,
  }
}

/** Estimates have few digits. */
function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(6))
}
