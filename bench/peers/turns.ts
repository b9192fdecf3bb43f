/** Rounds of subjects in turns (A B A B ...). */
import { loadavg } from 'node:os'
import type { Subject } from './subject.ts'

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
