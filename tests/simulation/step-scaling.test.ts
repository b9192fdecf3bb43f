/** Steps out and in before a model of a service, as a document has them. Loads: step, ramp, spike, day, and at random. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { StepScaling } from '#contract/scaling'
import { noisy, simulate, START_S, TARGET, turnsOf } from './scaled-replicas.ts'

const TRIGGER = { metric: 'concurrency', of: 'replica', statistic: 'average', periodMs: 10_000, missing: 'not-breaching' } as const

/** A replica has four calls at a time; one more from 3.5, three more from 6, half as many again from 12. */
const OUT: StepScaling = {
  kind: 'step',
  trigger: { ...TRIGGER, operator: 'above', threshold: 3.5, numPeriods: 1, numBreaching: 1 },
  adjustmentType: 'change',
  minAdjustment: 1,
  steps: [
    { lower: 0, upper: 2.5, adjustment: 1 },
    { lower: 2.5, upper: null, adjustment: 3 },
  ],
  cooldownMs: 30_000,
  aggregation: 'average',
}
const IN: StepScaling = {
  ...OUT,
  trigger: { ...TRIGGER, operator: 'below', threshold: 1.5, numPeriods: 12, numBreaching: 12 },
  steps: [{ lower: null, upper: 0, adjustment: -1 }],
  cooldownMs: 60_000,
}
const RULES = [OUT, IN]

test('a step is met, and held without a turn', () => {
  const { wanted, waiting } = simulate(
    noisy((second) => (second < 60 ? 1 : 24), 1),
    1200,
    RULES,
  )
  expect(turnsOf(wanted)).toBe(0)
  expect(waiting.slice(60 + 12 * START_S).every((line) => line === 0)).toBe(true)
  const settled = wanted.slice(600)
  expect(new Set(settled).size).toBe(1)
  expect(settled[0]).toBeGreaterThanOrEqual(7)
  expect(settled[0]).toBeLessThanOrEqual(16)
})

test('a ramp is followed upwards and downwards with one turn', () => {
  const { wanted, waiting } = simulate(
    noisy((second) => Math.max(0, second < 600 ? second / 15 : 80 - second / 15), 2),
    2400,
    RULES,
  )
  expect(turnsOf(wanted)).toBe(1)
  expect(wanted.at(-1)).toBe(1)
  expect(waiting.at(-1)).toBe(0)
})

test('a spike of ten seconds costs one rise and one fall', () => {
  const { wanted } = simulate(
    noisy((second) => (second >= 100 && second < 110 ? 30 : 1), 3),
    1500,
    RULES,
  )
  expect(turnsOf(wanted)).toBeLessThanOrEqual(1)
  expect(wanted.at(-1)).toBe(1)
})

test('three days of a load that comes and goes are three rises and three falls', () => {
  const dayS = 3600
  const { wanted, waiting } = simulate(
    noisy((second) => 15 - 14.5 * Math.cos((2 * Math.PI * second) / dayS), 4),
    3 * dayS,
    RULES,
  )
  expect(turnsOf(wanted)).toBeLessThanOrEqual(5)
  expect(waiting.filter((line) => line > 0).length).toBeLessThan(wanted.length / 20)
})

test('percents settle as well, and a line that waits is a metric like others', () => {
  const percent: StepScaling = {
    ...OUT,
    trigger: { ...OUT.trigger!, metric: 'queue-wait', threshold: 100 },
    adjustmentType: 'percent',
    minAdjustment: 2,
    steps: [{ lower: 0, upper: null, adjustment: 50 }],
  }
  const { wanted, waiting } = simulate(
    noisy((second) => (second < 60 ? 1 : 30), 5),
    1500,
    [percent, IN],
  )
  expect(turnsOf(wanted)).toBeLessThanOrEqual(1)
  expect(waiting.slice(600).filter((line) => line > 0).length).toBeLessThan(30)
})

test('a load that ends brings the target back to its least, and none leaves its bounds, whatever the load', () => {
  const loads = fc.array(fc.record({ seconds: fc.integer({ min: 5, max: 200 }), calls: fc.integer({ min: 0, max: 60 }) }), {
    minLength: 1,
    maxLength: 5,
  })
  fc.assert(
    fc.property(loads, fc.integer({ min: 1, max: 4 }), (phases, minReplicas) => {
      const load = phases.flatMap(({ seconds, calls }) => Array.from({ length: seconds }, () => calls))
      const { wanted } = simulate((second) => load[second] ?? 0, load.length + 2000, RULES, { ...TARGET, minReplicas })
      expect(wanted.at(-1)).toBe(minReplicas)
    }),
    { seed: 6, numRuns: 8 },
  )
})
