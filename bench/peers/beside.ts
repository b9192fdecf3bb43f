/** Records of our figures beside those of peers. */
import { type BenchRecord, emit } from '../record.ts'
import type { Subject } from './subject.ts'

/** One subject's figures, one a round. */
export interface Series {
  readonly subject: Subject
  readonly values: readonly number[]
}

export interface Metric {
  readonly suite: string
  readonly case: string
  readonly metric: string
  readonly unit: string
  /** What the machine could give at most, where that is known. */
  readonly limit?: number
}

/** Records on standard output, the best peer on standard error. The first series is ours. */
export function printBeside(metric: Metric, series: readonly Series[]): void {
  const records = recordsBeside(metric, series)
  for (const record of records) emit(record)
  const best = bestPeer(records)
  if (best !== null)
    console.error(`${best.case}, ${best.metric}: ${round(best.value)}, best peer ${best.peer} ${round(best.peerValue!)}, ratio ${round(best.ratio!)}`)
}

/** Ours beside each peer; the first series is ours. Without peers one record of ours alone. */
export function recordsBeside(metric: Metric, [ours, ...peers]: readonly Series[]): BenchRecord[] {
  const { values } = ours!
  const value = median(values)
  const own = {
    ...metric,
    value,
    spread: Math.max(...values) / Math.min(...values),
    ...(metric.limit === undefined ? {} : { shareOfLimit: value / metric.limit }),
  }
  if (peers.length === 0) return [own]
  return peers.map(({ subject, values: theirs }) => ({
    ...own,
    peer: `${subject.name} ${subject.version}`,
    peerValue: median(theirs),
    ratio: median(values.map((value, round) => value / theirs[round]!)),
  }))
}

/** The record whose peer is nearest to us or ahead. Of times less is better. */
export function bestPeer(records: readonly BenchRecord[]): BenchRecord | null {
  const lead = ({ unit, ratio }: BenchRecord): number => (unit === 's' || unit === 'ms' ? 1 / ratio! : ratio!)
  return records.filter(({ ratio }) => ratio !== undefined).toSorted((a, b) => lead(a) - lead(b))[0] ?? null
}

/** The upper one of the two in the middle. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

function round(value: number): string {
  return value.toPrecision(4)
}
