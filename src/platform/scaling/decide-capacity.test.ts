import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AlarmCondition, ScalableTarget, ScalingPolicy, StepScaling, TargetTracking } from '#contract/scaling'
import { type CapacityDecision, type CapacityHistory, type CapacityQuestion, decideCapacity } from './decide-capacity.ts'

const TARGET: ScalableTarget = {
  endpoint: 'e',
  variant: 'v',
  minReplicas: 1,
  maxReplicas: 20,
  setBounds: { minReplicas: 1, maxReplicas: 20 },
  isScaleInSuspended: false,
  isScaleOutSuspended: false,
  isScheduleSuspended: false,
  createdMs: 0,
}
const TRACKING: TargetTracking = {
  kind: 'target-tracking',
  metric: 'concurrency',
  target: 8,
  scaleInCooldownMs: 0,
  scaleOutCooldownMs: 10_000,
  isScaleInDisabled: false,
}
const TRIGGER: AlarmCondition = {
  metric: 'concurrency',
  of: 'replica',
  statistic: 'average',
  operator: 'above',
  threshold: 4,
  periodMs: 10_000,
  numPeriods: 1,
  numBreaching: 1,
  missing: 'not-breaching',
}
const STEPS: StepScaling = {
  kind: 'step',
  trigger: TRIGGER,
  adjustmentType: 'change',
  minAdjustment: 1,
  steps: [
    { lower: 0, upper: 2, adjustment: 1 },
    { lower: 2, upper: null, adjustment: 3 },
  ],
  cooldownMs: 30_000,
  aggregation: 'average',
}
const LESS: StepScaling = { ...STEPS, trigger: { ...TRIGGER, operator: 'below', threshold: 2 }, steps: [{ lower: null, upper: 0, adjustment: -1 }] }

function policyOf(rule: ScalingPolicy['rule'], name = 'p'): ScalingPolicy {
  return { name, endpoint: 'e', variant: 'v', rule, request: null, createdMs: 0 }
}

/** 200 seconds of it; `concurrency` of all replicas together. */
function historyOf(concurrency: number, replicas: number, more: Partial<CapacityHistory> = {}, invocations = 0): CapacityHistory {
  const values = { concurrency, invocations, 'queue-wait': 0, 'kv-usage': 0, tokens: 0, backlog: 0 }
  const samples = Array.from({ length: 200 }, (_, second) => ({ atMs: second * 1000, replicas, values }))
  return { samples, lastOutMs: -Infinity, lastOutBase: 0, lastInMs: -Infinity, ...more }
}

const NOW_MS = 199_000

function decide(more: Partial<CapacityQuestion> & Pick<CapacityQuestion, 'history' | 'current'>): CapacityDecision | null {
  return decideCapacity({ target: TARGET, policies: [], fired: [], nowMs: NOW_MS, ...more })
}

/** Two replicas with so many calls each. */
function step(perReplica: number, rule: Partial<StepScaling> = {}, history: Partial<CapacityHistory> = {}): number | null {
  return decide({ policies: [policyOf({ ...STEPS, ...rule })], history: historyOf(perReplica * 2, 2, history), current: 2 })?.replicas ?? null
}

test('steps add what their bound says, in numbers, percents or as a whole', () => {
  expect(step(4)).toBeNull()
  expect(step(5)).toBe(3)
  expect(step(6)).toBe(5)
  expect(step(5, { adjustmentType: 'exact', steps: [{ lower: 0, upper: null, adjustment: 9 }] })).toBe(9)
  expect(step(5, { adjustmentType: 'percent', steps: [{ lower: 0, upper: null, adjustment: 10 }] })).toBe(3)
  expect(step(5, { adjustmentType: 'percent', steps: [{ lower: 0, upper: null, adjustment: 170 }], minAdjustment: 4 })).toBe(6)
  expect(step(1, LESS)).toBe(1)
  expect(step(50, { steps: [{ lower: 0, upper: null, adjustment: 1000 }] }), 'no more than there may be').toBe(20)
})

test('within the cooldown the same step adds nothing, a larger one the rest; in waits for its end, out does not wait for a fall', () => {
  const raised = { lastOutMs: NOW_MS - 20_000, lastOutBase: 1 }
  expect(step(5, {}, raised), '1 + 1 are there').toBeNull()
  expect(decide({ policies: [policyOf(STEPS)], history: historyOf(12, 2, raised), current: 2 }), '1 + 3, of which one is there').toMatchObject({
    replicas: 4,
    base: 1,
  })
  expect(step(1, LESS, raised)).toBeNull()
  expect(step(1, LESS, { lastInMs: NOW_MS - 20_000 })).toBeNull()
  expect(step(5, {}, { lastInMs: NOW_MS - 1000 })).toBe(3)
  expect(step(5, {}, { lastOutMs: NOW_MS - 30_000, lastOutBase: 1 })).toBe(3)
})

test('an alarm starts the policy that it names, by its own threshold', () => {
  const policies = [policyOf({ ...STEPS, trigger: null })]
  const history = historyOf(12, 2)
  const fired = [{ name: 'hot', policy: 'p', condition: { ...TRIGGER, threshold: 5.5 } }]
  expect(decide({ policies, history, current: 2 })).toBeNull()
  expect(decide({ policies, fired, history, current: 2 })).toMatchObject({ replicas: 3, cause: 'policy p: alarm hot, concurrency is 6, above 5.5' })
  expect(decide({ policies, fired: [{ ...fired[0]!, policy: 'other' }], history, current: 2 })).toBeNull()
})

test('steps of one alarm may go both ways: of several policies the largest number counts', () => {
  const idle = policyOf({ ...STEPS, trigger: { ...TRIGGER, threshold: 1 }, steps: [{ lower: 0, upper: null, adjustment: -1 }] }, 'odd')
  expect(decide({ policies: [idle], history: historyOf(10, 2), current: 2 })?.replicas).toBe(1)
  expect(decide({ policies: [idle, policyOf(STEPS)], history: historyOf(10, 2), current: 2 })?.replicas).toBe(3)
})

test('the number stays within its bounds, and one step takes no more than one side, whatever the steps', () => {
  const bounds = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })
  const rules = fc.record({ bounds, type: fc.constantFrom('change' as const, 'percent' as const), by: fc.integer({ min: -300, max: 300 }) })
  fc.assert(
    fc.property(rules, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 60 }), ({ bounds: ends, type, by }, current, load) => {
      const ordered = [0, ...ends.toSorted((a, b) => a - b)]
      const steps = ordered.map((lower, index) => ({ lower, upper: ordered[index + 1] ?? null, adjustment: by * (index + 1) }))
      const decision = decide({
        policies: [policyOf({ ...STEPS, adjustmentType: type, steps })],
        history: historyOf(load * current, current),
        current,
      })
      if (decision === null) {
        expect(load <= 4 || by === 0 || (by > 0 ? current === 20 : current === 1)).toBe(true)
        return
      }
      expect(Math.sign(decision.replicas - current)).toBe(Math.sign(by))
      expect(decision.replicas).toBeGreaterThanOrEqual(1)
      expect(decision.replicas).toBeLessThanOrEqual(20)
    }),
    { seed: 8, numRuns: 300 },
  )
})

test('fewer only if every policy that keeps to a target agrees; more if one asks', () => {
  const history = historyOf(40, 5, {}, 1)
  const calm = policyOf({ ...TRACKING, metric: 'invocations', target: 100 }, 'calm')
  const busy = policyOf(TRACKING, 'busy')
  expect(decide({ policies: [calm], history, current: 5 })?.replicas).toBe(1)
  expect(decide({ policies: [calm, busy], history, current: 5 })).toBeNull()
  expect(decide({ policies: [calm, busy], history, current: 3 })?.replicas).toBe(5)
  expect(decide({ target: { ...TARGET, isScaleInSuspended: true }, policies: [calm], history, current: 5 })).toBeNull()
  expect(decide({ target: { ...TARGET, isScaleOutSuspended: true }, policies: [busy], history, current: 3 })).toBeNull()
  expect(decide({ policies: [policyOf({ ...TRACKING, target: 9.5 })], history, current: 4 }), 'five percent past it').toBeNull()
  expect(decide({ target: { ...TARGET, minReplicas: 7 }, history, current: 5 })).toMatchObject({ replicas: 7, kind: 'bounds' })
})

test('a policy that only adds, and steps that nothing has started, keep nobody from having fewer; a target that is not met does', () => {
  const history = historyOf(1, 5)
  const [less, more] = [policyOf(LESS, 'less'), policyOf(STEPS, 'more')]
  const onlyOut = policyOf({ ...TRACKING, isScaleInDisabled: true }, 'onlyOut')
  for (const policies of [[less], [less, more], [less, onlyOut], [more, less, onlyOut]])
    expect(decide({ policies, history, current: 5 })?.replicas).toBe(4)
  expect(decide({ policies: [more, onlyOut], history, current: 5 })).toBeNull()
  const full = policyOf({ ...TRACKING, target: 0.2 }, 'full')
  expect(decide({ policies: [less, full], history, current: 5 })).toBeNull()
  expect(decide({ policies: [less, policyOf({ ...TRACKING, metric: 'tokens', target: 0.01 })], history, current: 5 })?.replicas).toBe(4)
})

test('what may sleep does when nothing is asked of it, and not while it is called, whatever is measured', () => {
  const target = { ...TARGET, minReplicas: 0 }
  const waits = policyOf({ ...TRACKING, metric: 'queue-wait', target: 100 })
  expect(decide({ target, policies: [waits], history: historyOf(0, 2), current: 2 })?.replicas).toBe(0)
  expect(decide({ target, policies: [waits], history: historyOf(1, 2), current: 2 })?.replicas).toBe(1)
  expect(decide({ target, policies: [policyOf(LESS)], history: historyOf(0, 1), current: 1 })?.replicas).toBe(0)
  expect(decide({ target, policies: [waits], history: historyOf(1, 0), current: 0 })).toMatchObject({ replicas: 1, cause: 'it is called' })
  expect(decide({ target, policies: [waits], history: historyOf(0, 0), current: 0 })).toBeNull()
  // A call that began and ended between two looks.
  expect(decide({ target, policies: [waits], history: historyOf(0, 0, {}, 1), current: 0 })).toMatchObject({ replicas: 1, cause: 'it is called' })
  const backlog = historyOf(0, 0)
  const samples = backlog.samples.map((sample) => ({ ...sample, values: { ...sample.values, backlog: 3, concurrency: null } }))
  expect(decide({ target, policies: [], history: { ...backlog, samples }, current: 0 })?.replicas).toBe(1)
})
