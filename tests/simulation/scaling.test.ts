/** Target tracking before a model of a service. Loads: step, ramp, spike, day, and at random. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { TargetTracking } from '#contract/scaling'
import { noisy, simulate, START_S, TARGET, TRACKING, turnsOf } from './scaled-replicas.ts'

test('a step is met within two starts of a replica, and held without a turn', () => {
  const { wanted, waiting } = simulate(
    noisy((second) => (second < 60 ? 1 : 24), 1),
    900,
  )
  expect(waiting.slice(60 + 4 * START_S).every((line) => line === 0)).toBe(true)
  expect(turnsOf(wanted)).toBeLessThanOrEqual(1)
  const settled = wanted.slice(600)
  expect(Math.max(...settled) - Math.min(...settled)).toBeLessThanOrEqual(1)
  expect(Math.min(...settled)).toBeGreaterThanOrEqual(8)
  expect(Math.max(...settled)).toBeLessThanOrEqual(11)
})

test('a ramp is followed upwards and downwards; noise at its top costs one more turn and back', () => {
  const { wanted, waiting } = simulate(
    noisy((second) => Math.max(1, second < 600 ? second / 15 : 80 - second / 15), 2),
    1800,
  )
  expect(turnsOf(wanted)).toBeLessThanOrEqual(3)
  expect(wanted.at(-1)).toBe(1)
  expect(Math.max(...wanted)).toBeGreaterThanOrEqual(13)
  expect(waiting.at(-1)).toBe(0)
})

test('a spike of ten seconds costs one rise and one fall', () => {
  const { wanted } = simulate(
    noisy((second) => (second >= 100 && second < 110 ? 30 : 2), 3),
    900,
  )
  expect(turnsOf(wanted)).toBeLessThanOrEqual(1)
  expect(wanted.at(-1)).toBe(1)
})

test('three days of a load that comes and goes are three rises and three falls', () => {
  const dayS = 3600
  const { wanted, waiting } = simulate(
    noisy((second) => 15 - 14 * Math.cos((2 * Math.PI * second) / dayS), 4),
    3 * dayS,
  )
  expect(turnsOf(wanted)).toBeLessThanOrEqual(5)
  expect(waiting.filter((line) => line > 0).length).toBeLessThan(wanted.length / 20)
})

test('what says how full each replica is settles as well', () => {
  const rule: TargetTracking = { ...TRACKING, metric: 'kv-usage', target: 0.7 }
  const { wanted } = simulate(
    noisy((second) => (second < 60 ? 1 : 20), 5),
    1500,
    rule,
  )
  const settled = wanted.slice(900)
  expect(Math.max(...settled) - Math.min(...settled)).toBeLessThanOrEqual(1)
  expect(turnsOf(wanted)).toBeLessThanOrEqual(2)
})

test('a load that ends brings every target back to its least, and none leaves its bounds, whatever the policy and the load', () => {
  const loads = fc.array(fc.record({ seconds: fc.integer({ min: 5, max: 200 }), calls: fc.integer({ min: 0, max: 90 }) }), {
    minLength: 1,
    maxLength: 6,
  })
  const rules = fc.record({
    metric: fc.constantFrom('concurrency' as const, 'invocations' as const, 'tokens' as const),
    target: fc.double({ min: 0.5, max: 200, noNaN: true }),
    inS: fc.integer({ min: 0, max: 120 }),
    outS: fc.integer({ min: 0, max: 60 }),
  })
  fc.assert(
    fc.property(loads, rules, fc.integer({ min: 1, max: 4 }), (phases, { metric, target, inS, outS }, minReplicas) => {
      const load = phases.flatMap(({ seconds, calls }) => Array.from({ length: seconds }, () => calls))
      const rule: TargetTracking = { ...TRACKING, metric, target, scaleInCooldownMs: inS * 1000, scaleOutCooldownMs: outS * 1000 }
      const { wanted } = simulate((second) => load[second] ?? 0, load.length + 1500, rule, { ...TARGET, minReplicas })
      expect(wanted.at(-1)).toBe(minReplicas)
    }),
    { seed: 6, numRuns: 60 },
  )
})
