/** The labelled set and how a policy is scored on it: of the findings expected, how many were made, and of those made, how many were expected. */
import { readFileSync } from 'node:fs'
import { systemClock } from '#base/clock'
import { compilePolicy, type CompiledPolicy } from '#platform/safety/compiled-policy'
import { evaluate } from '#platform/safety/evaluate'
import { NO_MODELS, PII_TYPES, piiPolicy, POLICIES } from './policies.ts'

interface LabelledText {
  readonly policy: 'word' | 'profanity' | 'pii' | 'topic' | 'prompt-attack'
  /** Rules that must be found, one entry for each finding; [] = a hard negative. */
  readonly expected: readonly string[]
  readonly text: string
}

export interface Score {
  readonly policy: string
  numExpected: number
  numRight: number
  numWrong: number
  readonly misses: string[]
  readonly falseAlarms: string[]
}

export const LABELLED_SET: readonly LabelledText[] = readFileSync(new URL('labelled-set.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as LabelledText)

/** PII is scored by type, the others as a whole. */
export async function scoreLabelledSet(): Promise<ReadonlyMap<string, Score>> {
  const compiled = new Map<string, CompiledPolicy>(Object.entries(POLICIES).map(([name, policy]) => [name, compilePolicy(policy, NO_MODELS)]))
  compiled.set('pii', compilePolicy(piiPolicy(PII_TYPES, 'block'), NO_MODELS))
  const scores = new Map<string, Score>()
  const scoreOf = (policy: string): Score => {
    const score = scores.get(policy) ?? { policy, numExpected: 0, numRight: 0, numWrong: 0, misses: [], falseAlarms: [] }
    scores.set(policy, score)
    return score
  }
  for (const { policy, expected, text } of LABELLED_SET) {
    const { assessment } = await evaluate({
      compiled: compiled.get(policy)!,
      direction: 'input',
      texts: [{ text, isMeaningJudged: true }],
      context: [],
      clock: systemClock,
      signal: new AbortController().signal,
    })
    const open = [...expected]
    for (const { rule, action, match } of assessment.findings) {
      if (action !== 'block') continue
      const at = open.indexOf(rule)
      const score = scoreOf(policy === 'pii' ? rule : policy)
      if (at === -1) {
        score.numWrong++
        score.falseAlarms.push(`${rule}: ${match}`)
      } else {
        score.numRight++
        open.splice(at, 1)
      }
    }
    for (const rule of expected) scoreOf(policy === 'pii' ? rule : policy).numExpected++
    for (const rule of open) scoreOf(policy === 'pii' ? rule : policy).misses.push(`${rule}: ${text}`)
  }
  return scores
}
