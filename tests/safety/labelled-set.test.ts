import { expect, test } from 'vitest'
import { LABELLED_SET, scoreLabelledSet } from './labelled-set.ts'

/** Least precision and recall, as docs/reference/guardrails.md publishes them: they may rise and not fall. */
const PINNED: Readonly<Record<string, readonly [precision: number, recall: number]>> = {
  word: [1, 1],
  profanity: [1, 0.91],
  EMAIL: [1, 1],
  PHONE: [1, 0.9],
  CREDIT_DEBIT_CARD_NUMBER: [1, 1],
  INTERNATIONAL_BANK_ACCOUNT_NUMBER: [1, 1],
  IP_ADDRESS: [0.88, 1],
  MAC_ADDRESS: [1, 1],
  URL: [1, 1],
  US_SOCIAL_SECURITY_NUMBER: [0.8, 1],
  AWS_ACCESS_KEY: [1, 1],
  AWS_SECRET_KEY: [1, 1],
  API_KEY: [0.92, 1],
  PASSWORD: [1, 1],
  NAME: [1, 0.72],
  topic: [0.95, 0.74],
  'prompt-attack': [0.92, 0.88],
}

test('each policy finds what it found, and is wrong as seldom', async () => {
  const scores = await scoreLabelledSet()
  expect([...scores.keys()].sort()).toEqual(Object.keys(PINNED).sort())
  for (const { policy, numExpected, numRight, numWrong, misses, falseAlarms } of scores.values()) {
    const [precision, recall] = PINNED[policy]!
    expect(numRight / Math.max(1, numRight + numWrong), `precision of ${policy}: ${falseAlarms.join('; ')}`).toBeGreaterThanOrEqual(precision)
    expect(numRight / numExpected, `recall of ${policy}: ${misses.join('; ')}`).toBeGreaterThanOrEqual(recall)
  }
})

test('the set is large enough to mean something', () => {
  expect(LABELLED_SET.length).toBeGreaterThan(400)
  expect(LABELLED_SET.filter(({ expected }) => expected.length === 0).length).toBeGreaterThan(180)
})
