import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { LevelTally } from './level-figures.ts'
import type { Objective } from './objective.ts'
import type { Answered, RequestOutcome } from './request-outcome.ts'

const PLAIN: Answered = {
  kind: 'answered',
  dueMs: 0,
  sentMs: 0,
  firstMs: 100,
  endMs: 500,
  gapsMs: [],
  numPromptTokens: 10,
  numOutputTokens: 5,
  isUsageTold: true,
}

function tally(outcomes: readonly RequestOutcome[], objective: Objective | null = null): LevelTally {
  const made = new LevelTally(objective, new SeededRandom(1))
  for (const outcome of outcomes) made.add(outcome)
  return made
}

test('TTFT, TPOT, E2E and gaps are what their formulas say', () => {
  const figures = tally([
    { ...PLAIN, gapsMs: [50, 150, 200] },
    { ...PLAIN, dueMs: 900, sentMs: 1000, firstMs: 1300, endMs: 1500, numOutputTokens: 3, gapsMs: [0, 200] },
  ]).figures()
  // (500 - 100) / 4 and (1500 - 1300) / 2.
  expect(figures.tpotMs).toMatchObject({ count: 2, mean: 100, max: 100 })
  expect(figures.ttftMs).toMatchObject({ count: 2, mean: 200, p50: 200, max: 300 })
  expect(figures.e2eMs).toMatchObject({ count: 2, mean: 500, max: 500 })
  expect(figures.itlMs).toMatchObject({ count: 5, mean: 120, p50: 150, max: 200 })
  expect(figures.clientQueueMs).toMatchObject({ count: 2, mean: 50, max: 100 })
})

test('throughput is over the time from the first request sent to the last end', () => {
  const figures = tally([PLAIN, { ...PLAIN, sentMs: 1000, firstMs: 1100, endMs: 2000 }]).figures()
  expect(figures).toMatchObject({
    elapsedMs: 2000,
    requestsPerS: 1,
    outputTokensPerS: 5,
    totalTokensPerS: 15,
    numPromptTokens: 20,
    numOutputTokens: 10,
  })
})

test('goodput counts the answers that keep every limit, the limit itself included', () => {
  const objective = { ttftMs: 100, tpotMs: 100, e2eMs: null }
  const figures = tally(
    [
      PLAIN,
      { ...PLAIN, firstMs: 101 },
      { ...PLAIN, endMs: 501 },
      { ...PLAIN, numOutputTokens: 1, endMs: 1000 },
      { kind: 'failed', sentMs: 0, endMs: 1000, error: { kind: 'http 500', words: 'no' } },
    ],
    objective,
  ).figures()
  // The first, and the one of a single token, which has no TPOT.
  expect(figures).toMatchObject({ elapsedMs: 1000, goodputPerS: 2, goodShare: 0.4 })
  expect(tally([PLAIN]).figures()).toMatchObject({ goodputPerS: null, goodShare: null })
  expect(tally([PLAIN], { ttftMs: null, tpotMs: null, e2eMs: 499 }).figures()).toMatchObject({ goodputPerS: 0, goodShare: 0 })
})

test('an answer of one token has no TPOT, and one that was not streamed no TTFT either', () => {
  expect(tally([{ ...PLAIN, numOutputTokens: 1 }]).figures()).toMatchObject({ tpotMs: null, ttftMs: { count: 1 } })
  expect(tally([{ ...PLAIN, firstMs: null }]).figures()).toMatchObject({ tpotMs: null, ttftMs: null, itlMs: null, e2eMs: { count: 1 } })
})

test('errors are counted by kind, most first, with the words of the first; what was taken back is no error', () => {
  const failed = (kind: string, words: string): RequestOutcome => ({ kind: 'failed', sentMs: 0, endMs: 10, error: { kind, words } })
  const figures = tally([failed('timeout', 'a'), failed('http 429', 'b'), failed('http 429', 'c'), { kind: 'cancelled' }]).figures()
  expect(figures).toMatchObject({ numAnswered: 0, numFailed: 3, numCancelled: 1, elapsedMs: 10, requestsPerS: 0, ttftMs: null })
  expect(figures.errors).toEqual([
    { kind: 'http 429', count: 2, words: 'b' },
    { kind: 'timeout', count: 1, words: 'a' },
  ])
})

test('kinds of errors have a bound', () => {
  const many = Array.from({ length: 100 }, (_, index): RequestOutcome => ({
    kind: 'failed',
    sentMs: 0,
    endMs: 1,
    error: { kind: `k${index}`, words: '' },
  }))
  const { errors } = tally(many).figures()
  expect(errors).toHaveLength(21)
  expect(errors[0]).toMatchObject({ kind: 'other', count: 80 })
})

test('nothing measured is no division by nothing', () => {
  expect(tally([]).figures()).toMatchObject({ elapsedMs: 0, requestsPerS: 0, outputTokensPerS: 0, e2eMs: null })
})

test('one answer without usage makes the counts of its level a guess', () => {
  expect(tally([PLAIN, { ...PLAIN, isUsageTold: false }]).figures().isUsageTold).toBe(false)
})
