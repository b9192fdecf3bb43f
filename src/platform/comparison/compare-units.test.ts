import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import type { ComparedMetric, MetricComparison } from '#contract/comparison'
import { compareUnits, type UnitCalls } from './compare-units.ts'

/** Log-normal times around `ms`. */
function callsOf(seed: number, { count = 400, ms = 100, errors = 4, cost = 0.01 as number | null, tokens = 50 } = {}): UnitCalls {
  const random = new SeededRandom(seed)
  const noise = (): number => Math.sqrt(-2 * Math.log(1 - random.nextFloat())) * Math.cos(2 * Math.PI * random.nextFloat())
  const samples = Array.from({ length: count }, () => ({
    ttftMs: ms * Math.exp(0.4 * noise()),
    tpotMs: (ms / 10) * Math.exp(0.2 * noise()),
    durationMs: ms * 5 * Math.exp(0.3 * noise()),
    outputTokens: tokens + 5 * noise(),
    cost: cost === null ? null : cost * (1 + 0.1 * noise()),
  }))
  return { numCalls: count + errors, numErrors: errors, samples }
}

const find = (found: readonly MetricComparison[], metric: ComparedMetric): MetricComparison => found.find((each) => each.metric === metric)!
const verdicts = (found: readonly MetricComparison[]): readonly string[] => found.map(({ metric, verdict }) => `${metric} ${verdict}`)

test('a slower, dearer, failing unit is found so, in the units that people read', () => {
  const found = compareUnits(callsOf(1), callsOf(2, { ms: 130, errors: 60, cost: 0.02, tokens: 60 }), 0.99)
  expect(verdicts(found)).toEqual([
    'ttft worse',
    'ttft-p95 worse',
    'tpot worse',
    'duration worse',
    'error-rate worse',
    'cost worse',
    'output-tokens changed',
  ])
  const ttft = find(found, 'ttft')
  expect(ttft.estimate).toBeCloseTo(1.3, 1)
  expect(ttft.low).toBeGreaterThan(1.15)
  expect(ttft.high).toBeLessThan(1.5)
  expect(find(found, 'error-rate')).toMatchObject({ scale: 'difference', baseline: 4 / 404, candidate: 60 / 460 })
})

test('what is the same is not told apart, and how many calls would tell it is said', () => {
  const found = compareUnits(callsOf(3), callsOf(4), 0.99)
  expect(found.every(({ verdict }) => verdict === 'no-difference-shown')).toBe(true)
  expect(find(found, 'ttft').callsNeeded).toBeGreaterThan(200)
  expect(find(found, 'error-rate').callsNeeded).toBeGreaterThan(1000)
})

test('a better unit is found better', () => {
  expect(find(compareUnits(callsOf(5), callsOf(6, { ms: 70 }), 0.99), 'duration').verdict).toBe('better')
})

test('of few calls nothing is said, whatever they show', () => {
  expect(verdicts(compareUnits(callsOf(7, { count: 10 }), callsOf(8, { ms: 1000 }), 0.99))).toEqual([
    'ttft too-little-data',
    'ttft-p95 too-little-data',
    'tpot too-little-data',
    'duration too-little-data',
    'error-rate too-little-data',
    'cost too-little-data',
    'output-tokens too-little-data',
  ])
  const empty: UnitCalls = { numCalls: 0, numErrors: 0, samples: [] }
  expect(compareUnits(empty, empty, 0.99).every(({ baseline, estimate }) => baseline === null && estimate === null)).toBe(true)
})

test('nobody pays for a shadow: its cost is not compared', () => {
  expect(find(compareUnits(callsOf(9), callsOf(10, { cost: null }), 0.99), 'cost')).toMatchObject({ candidate: null, verdict: 'too-little-data' })
})

test('of 300 pairs of equal units with seven verdicts each few are told apart', () => {
  let wrong = 0
  for (let run = 0; run < 300; run++) {
    const found = compareUnits(callsOf(1000 + run, { count: 120, errors: 2 }), callsOf(5000 + run, { count: 120, errors: 2 }), 1 - 0.05 / 7)
    if (found.some(({ verdict }) => verdict !== 'no-difference-shown' && verdict !== 'too-little-data')) wrong++
  }
  expect(wrong / 300).toBeLessThan(0.07)
})
