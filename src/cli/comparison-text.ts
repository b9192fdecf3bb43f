/** A comparison as people read it: for each metric both sides, the difference with its interval, and what it says. */

/** As `GET .../comparison` answers. */
export interface WireComparison {
  readonly endpoint: string
  readonly from: string
  readonly to: string
  readonly baseline: WireUnit
  readonly comparisons: readonly { readonly candidate: WireUnit; readonly metrics: readonly WireMetric[] }[]
  readonly confidence: number
  readonly verdicts: number
}

interface WireUnit {
  readonly name: string
  readonly shadow: boolean
  readonly calls: number
  readonly errors: number
  readonly sampled: number
}

interface WireMetric {
  readonly metric: string
  readonly baseline: number | null
  readonly candidate: number | null
  readonly scale: 'ratio' | 'difference'
  readonly estimate: number | null
  readonly low: number | null
  readonly high: number | null
  readonly verdict: string
  readonly calls_needed: number | null
}

const NAMES: Readonly<Record<string, string>> = {
  ttft: 'first token',
  'ttft-p95': 'first token, p95',
  tpot: 'time per token',
  duration: 'whole answer',
  'error-rate': 'errors',
  cost: 'cost of a call',
  'output-tokens': 'tokens of an answer',
}
const WORDS: Readonly<Record<string, string>> = {
  better: 'better',
  worse: 'WORSE',
  changed: 'changed',
  'no-difference-shown': 'no difference shown',
  'too-little-data': 'too little data',
}

export function comparisonText({ endpoint, from, to, baseline, comparisons, confidence, verdicts }: WireComparison): string {
  const lines = [
    `${endpoint}, ${from.slice(0, 16)} to ${to.slice(0, 16)} UTC`,
    `baseline ${unitText(baseline)}`,
    ...comparisons.flatMap(({ candidate, metrics }) => ['', `against it ${unitText(candidate)}`, ...metrics.map(metricText)]),
    '',
    `Intervals are so wide that all ${verdicts} verdicts together are right ${confidence * 100} times in 100. Times are geometric means, but for p95.`,
  ]
  return `${lines.join('\n')}\n`
}

function unitText({ name, shadow, calls, errors, sampled }: WireUnit): string {
  const part = sampled < calls - errors ? `, times of the newest ${count(sampled)}` : ''
  return `${name}${shadow ? ' (shadow)' : ''}: ${count(calls)} calls, ${count(errors)} of them failed${part}`
}

function metricText({ metric, baseline, candidate, scale, estimate, low, high, verdict, calls_needed: needed }: WireMetric): string {
  const sides = `${value(metric, baseline)} -> ${value(metric, candidate)}`
  const difference =
    estimate === null || low === null || high === null
      ? ''
      : scale === 'ratio'
        ? `${percent(estimate - 1)} (${percent(low - 1)} to ${percent(high - 1)})`
        : `${signed(metric, estimate)} (${signed(metric, low)} to ${signed(metric, high)})`
  const more =
    verdict === 'no-difference-shown' && needed !== null
      ? `; ${count(needed)} calls a side would show ${metric === 'error-rate' ? 'one in 100' : '10 %'}`
      : ''
  return `  ${(NAMES[metric] ?? metric).padEnd(20)} ${sides.padEnd(24)} ${difference.padEnd(34)} ${WORDS[verdict] ?? verdict}${more}`
}

function value(metric: string, amount: number | null): string {
  if (amount === null) return '-'
  if (metric === 'error-rate') return `${(amount * 100).toFixed(2)} %`
  if (metric === 'cost') return `$${amount.toPrecision(3)}`
  if (metric === 'output-tokens') return amount.toFixed(1)
  return `${amount.toFixed(amount < 10 ? 2 : 0)} ms`
}

function signed(metric: string, amount: number): string {
  return `${amount < 0 ? '-' : '+'}${value(metric, Math.abs(amount))}`
}

function percent(share: number): string {
  return `${share < 0 ? '-' : '+'}${Math.abs(share * 100).toFixed(1)} %`
}

function count(amount: number): string {
  return amount.toLocaleString('en-US')
}
