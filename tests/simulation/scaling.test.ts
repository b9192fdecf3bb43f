/**
 * `decideCapacity` before a model of a service: replicas that take 20 s to start, each with so many calls a second, a line of those that wait.
 * A second is a step. Loads: step, ramp, spike, day, and at random.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import type { ScalableTarget, ScalingPolicy, StepScaling, TargetTracking } from '#contract/scaling'
import { type CapacitySample, decideCapacity } from '#platform/scaling/decide-capacity'

const START_S = 20
/** Calls that one replica answers in a second, each of which it works on for a second. */
const CALLS_PER_REPLICA = 4

const TARGET: ScalableTarget = {
  endpoint: 'e',
  variant: 'v',
  minReplicas: 1,
  maxReplicas: 20,
  isScaleInSuspended: false,
  isScaleOutSuspended: false,
  isScheduleSuspended: false,
  createdMs: 0,
}

const TRACKING: TargetTracking = {
  kind: 'target-tracking',
  metric: 'concurrency',
  target: 3,
  scaleInCooldownMs: 60_000,
  scaleOutCooldownMs: 10_000,
  isScaleInDisabled: false,
}

interface Run {
  readonly wanted: readonly number[]
  readonly waiting: readonly number[]
}

function policyOf(rule: ScalingPolicy['rule']): ScalingPolicy {
  return { name: 'p', endpoint: 'e', variant: 'v', rule, createdMs: 0 }
}

/** `load`: arrivals in second `s`. */
function simulate(load: (second: number) => number, seconds: number, rule: ScalingPolicy['rule'] = TRACKING, target = TARGET): Run {
  const policies = [policyOf(rule)]
  const samples: CapacitySample[] = []
  /** Seconds at which each replica is up. */
  let replicas = [-START_S]
  let waiting = 0
  let [lastOutMs, lastInMs] = [-Infinity, -Infinity]
  const wanted: number[] = []
  const lines: number[] = []
  for (let second = 0; second < seconds; second++) {
    const ready = replicas.filter((since) => since + START_S <= second).length
    const arrived = waiting + load(second)
    const running = Math.min(arrived, ready * CALLS_PER_REPLICA)
    waiting = arrived - running
    const values = {
      concurrency: running + waiting,
      invocations: load(second) * 60,
      'queue-wait': 0,
      'kv-usage': Math.min(1, running / Math.max(1, ready * CALLS_PER_REPLICA)),
      tokens: running,
      backlog: 0,
    }
    samples.push({ atMs: second * 1000, replicas: replicas.length, values })
    const decision = decideCapacity(target, policies, { samples: samples.slice(-310), lastOutMs, lastInMs }, replicas.length, second * 1000)
    if (decision !== null) {
      expect(decision.replicas).not.toBe(replicas.length)
      if (decision.replicas > replicas.length) {
        expect(second * 1000 - lastOutMs, 'cooldown out').toBeGreaterThanOrEqual(rule.kind === 'step' ? rule.cooldownMs : rule.scaleOutCooldownMs)
        lastOutMs = second * 1000
        replicas = [...replicas, ...Array.from({ length: decision.replicas - replicas.length }, () => second)]
      } else {
        if (rule.kind !== 'step') expect(second * 1000 - Math.max(lastInMs, lastOutMs), 'cooldown in').toBeGreaterThanOrEqual(rule.scaleInCooldownMs)
        lastInMs = second * 1000
        replicas = replicas.slice(0, decision.replicas)
      }
    }
    expect(replicas.length).toBeGreaterThanOrEqual(target.minReplicas)
    expect(replicas.length).toBeLessThanOrEqual(target.maxReplicas)
    wanted.push(replicas.length)
    lines.push(waiting)
  }
  return { wanted, waiting: lines }
}

/** How often the number of replicas turned from rising to falling or back. */
function turnsOf(wanted: readonly number[]): number {
  const moves = wanted.slice(1).flatMap((value, index) => (value === wanted[index] ? [] : [Math.sign(value - wanted[index]!)]))
  return moves.slice(1).filter((move, index) => move !== moves[index]).length
}

/** Load with noise of a quarter: nobody's calls come evenly. */
function noisy(load: (second: number) => number, seed: number): (second: number) => number {
  const random = new SeededRandom(seed)
  return (second) => Math.round(load(second) * (0.75 + random.nextFloat() / 2))
}

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

test('steps add what their bound says, in numbers, percents or as a whole, and rest for their cooldown', () => {
  const steps = [
    { lower: 0, upper: 2, adjustment: 1 },
    { lower: 2, upper: null, adjustment: 3 },
  ]
  const rule = {
    kind: 'step',
    metric: 'concurrency',
    threshold: 4,
    when: 'above',
    adjustmentType: 'change',
    minAdjustment: 1,
    steps,
    cooldownMs: 30_000,
  } as const
  const at = (concurrency: number, more: Partial<StepScaling> = {}, lastOutMs = -Infinity): number | null => {
    const values = { concurrency: concurrency * 2, invocations: 0, 'queue-wait': 0, 'kv-usage': 0, tokens: 0, backlog: 0 }
    const samples = Array.from({ length: 20 }, (_, second) => ({ atMs: second * 1000, replicas: 2, values }))
    return decideCapacity(TARGET, [policyOf({ ...rule, ...more })], { samples, lastOutMs, lastInMs: -Infinity }, 2, 19_000)?.replicas ?? null
  }
  expect(at(4)).toBeNull()
  expect(at(5)).toBe(3)
  expect(at(6)).toBe(5)
  expect(at(5, {}, 0)).toBeNull()
  expect(at(5, { adjustmentType: 'exact', steps: [{ lower: null, upper: null, adjustment: 9 }] })).toBe(9)
  expect(at(5, { adjustmentType: 'percent', steps: [{ lower: null, upper: null, adjustment: 10 }] })).toBe(3)
  expect(at(5, { adjustmentType: 'percent', steps: [{ lower: null, upper: null, adjustment: 170 }], minAdjustment: 4 })).toBe(6)
  expect(at(1, { when: 'below', steps: [{ lower: null, upper: 0, adjustment: -5 }] })).toBe(1)
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

test('fewer only if every policy agrees; more if one asks', () => {
  const values = { concurrency: 40, invocations: 1, 'queue-wait': 0, 'kv-usage': 0, tokens: 0, backlog: 0 }
  const samples = Array.from({ length: 200 }, (_, second) => ({ atMs: second * 1000, replicas: 5, values }))
  const calm = policyOf({ ...TRACKING, metric: 'invocations', target: 100, scaleInCooldownMs: 0 })
  const busy = policyOf({ ...TRACKING, target: 8, scaleInCooldownMs: 0 })
  const history = { samples, lastOutMs: -Infinity, lastInMs: -Infinity }
  expect(decideCapacity(TARGET, [calm], history, 5, 199_000)?.replicas).toBe(1)
  expect(decideCapacity(TARGET, [calm, busy], history, 5, 199_000)).toBeNull()
  expect(decideCapacity(TARGET, [calm, busy], history, 3, 199_000)?.replicas).toBe(5)
  expect(decideCapacity({ ...TARGET, isScaleInSuspended: true }, [calm], history, 5, 199_000)).toBeNull()
  expect(decideCapacity({ ...TARGET, isScaleOutSuspended: true }, [busy], history, 3, 199_000)).toBeNull()
  const near = policyOf({ ...TRACKING, target: 9.5 })
  expect(decideCapacity(TARGET, [near], history, 4, 199_000), 'five percent past it').toBeNull()
  expect(decideCapacity({ ...TARGET, minReplicas: 7 }, [], history, 5, 199_000)?.replicas).toBe(7)
})

test('a policy that only adds keeps nobody from having fewer', () => {
  const values = { concurrency: 1, invocations: 1, 'queue-wait': 0, 'kv-usage': 0, tokens: 0, backlog: 0 }
  const samples = Array.from({ length: 200 }, (_, second) => ({ atMs: second * 1000, replicas: 5, values }))
  const history = { samples, lastOutMs: -Infinity, lastInMs: -Infinity }
  const step = { kind: 'step', metric: 'concurrency', threshold: 3, adjustmentType: 'change', minAdjustment: 1, cooldownMs: 0 } as const
  const less = policyOf({ ...step, when: 'below', steps: [{ lower: null, upper: 0, adjustment: -1 }] })
  const more = policyOf({ ...step, when: 'above', steps: [{ lower: 0, upper: null, adjustment: 1 }] })
  const onlyOut = policyOf({ ...TRACKING, isScaleInDisabled: true })
  for (const policies of [[less], [less, more], [less, onlyOut], [more, less, onlyOut]])
    expect(decideCapacity(TARGET, policies, history, 5, 199_000)?.replicas).toBe(4)
  expect(decideCapacity(TARGET, [more, onlyOut], history, 5, 199_000)).toBeNull()
})
