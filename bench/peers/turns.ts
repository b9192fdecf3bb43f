/** Rounds of subjects in turns (A B A B ...), and the records of what they gave. */
import { loadavg } from 'node:os'
import type { BenchRecord } from '../record.ts'
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

/** Results by subject, in the order of the subjects, one a round. Every result is told on standard error as it comes. */
export async function inTurns<Result>(
  subjects: readonly Subject[],
  numRounds: number,
  measure: (subject: Subject, round: number) => Promise<Result>,
): Promise<readonly (readonly Result[])[]> {
  const results: Result[][] = subjects.map(() => [])
  for (let round = 0; round < numRounds; round++) {
    for (const [index, subject] of subjects.entries()) {
      const result = await measure(subject, round)
      results[index]!.push(result)
      console.error(JSON.stringify({ round, subject: subject.name, load: Number(loadavg()[0]!.toFixed(2)), ...result }))
    }
  }
  return results
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

/** The upper one of the two in the middle. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}
