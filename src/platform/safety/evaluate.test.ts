import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { EMPTY_POLICY, NO_MODELS, piiPolicy } from '../../../tests/safety/policies.ts'
import { PolicyCache } from './compiled-policy.ts'
import { evaluate } from './evaluate.ts'

const { signal } = new AbortController()
const TOTAL = 1_000_000
const PIECE = 16_384
const ATTACK = { ...EMPTY_POLICY, contentFilters: [{ type: 'PROMPT_ATTACK', inputStrength: 'HIGH', outputStrength: 'NONE' }] } as const

/** How often the event loop ran while texts of this policy were judged. */
async function countTurns(policy: typeof ATTACK | ReturnType<typeof piiPolicy>, texts: readonly string[]): Promise<number> {
  const guardrail = { id: 'x', version: '1', team: 'a', createdMs: 0, updatedMs: 0, name: 'x', description: '' }
  const compiled = new PolicyCache(NO_MODELS).compile({ ...guardrail, blockedInputMessage: 'no', blockedOutputMessage: 'no', policy })
  let numTurns = 0
  let isDone = false
  const turn = (): void => {
    numTurns++
    if (!isDone) setImmediate(turn)
  }
  setImmediate(turn)
  const judged = texts.map((text) => ({ text, isMeaningJudged: true }))
  const { assessment } = await evaluate({ compiled, direction: 'input', texts: judged, context: [], clock: new FakeClock(), signal })
  isDone = true
  expect(assessment.judgedCharacters).toBe(texts.reduce((sum, { length }) => sum + length, 0))
  return numTurns
}

test.each([
  ['one text', 1],
  ['a few texts', 40],
  ['a thousand texts', 1000],
])('the event loop runs after each 16 k characters of %s', async (_name, numTexts) => {
  const texts = Array.from({ length: numTexts }, () => 'mild words '.repeat(TOTAL / numTexts / 11))
  for (const policy of [piiPolicy(['EMAIL'], 'mask'), ATTACK]) expect(await countTurns(policy, texts)).toBeGreaterThan((0.9 * TOTAL) / PIECE)
})
