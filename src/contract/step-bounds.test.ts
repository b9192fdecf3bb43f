import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ScalingStep, StepScaling } from './scaling.ts'
import { adjusted, requireSteps, stepAt } from './step-bounds.ts'

function stepOf(lower: number | null, upper: number | null, adjustment = 1): ScalingStep {
  return { lower, upper, adjustment }
}

test.each([
  [[], /1 to 20 steps/],
  [[stepOf(null, null)], /a lower or an upper bound/],
  [[stepOf(5, 5)], /must be above the lower bound/],
  [[stepOf(null, 0), stepOf(null, 5)], /at most one step may have no lower bound/],
  [[stepOf(0, null), stepOf(5, null)], /at most one step may have no upper bound/],
  [[stepOf(0, 10), stepOf(20, null)], /a gap between 10 and 20/],
  [[stepOf(0, 20), stepOf(10, null)], /steps overlap at 10/],
  [[stepOf(0, null), stepOf(5, 10)], /steps overlap at 5/],
  [[stepOf(-5, 0)], /needs one below it without lower bound/],
  [[stepOf(0, 10)], /needs one above it without upper bound/],
  [[stepOf(0, null, -1)], /is no number of replicas/],
] as const)('%j is refused', (steps, words) => {
  expect(() => requireSteps(steps, 'exact', 'StepAdjustments')).toThrow(words)
})

test('steps that are taken cover their side without gap: every value has one step, and neighbours meet at their bounds', () => {
  const ends = fc.uniqueArray(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(ends, fc.integer({ min: -60, max: 60 }), fc.constantFrom('above' as const, 'below' as const), (list, past, side) => {
      const ordered = list.toSorted((a, b) => a - b)
      const all = [stepOf(null, ordered[0]!), ...ordered.map((lower, index) => stepOf(lower, ordered[index + 1] ?? null))]
      const steps = requireSteps(all.toReversed(), 'change', 'x')
      expect(steps).toEqual(all)
      const found = stepAt(steps, past, side)
      const isUpwards = past > 0 || (past === 0 && side === 'above')
      const within = steps.filter(({ lower, upper }) => past >= (lower ?? -Infinity) && past <= (upper ?? Infinity))
      expect(found).toBe(isUpwards ? within.at(-1) : within[0])
    }),
    { seed: 3, numRuns: 300 },
  )
})

test('at the threshold the side counts from which the alarm looks', () => {
  const steps = [stepOf(null, 0, -1), stepOf(0, null, 1)]
  expect(stepAt(steps, 0, 'above')?.adjustment).toBe(1)
  expect(stepAt(steps, 0, 'below')?.adjustment).toBe(-1)
  const down = [stepOf(null, -10, -2), stepOf(-10, 0, -1)]
  expect([-10, -9.9, 0].map((past) => stepAt(down, past, 'below')?.adjustment)).toEqual([-2, -1, -1])
  expect(stepAt(down, 0.1, 'below')).toBeNull()
})

test.each([
  [10, 25, 1, 12],
  [10, 10, 1, 11],
  [10, 5, 1, 11],
  [10, 127, 1, 22],
  [10, -5, 1, 9],
  [10, -67, 1, 4],
  [10, 0, 5, 10],
  [10, 10, 3, 13],
  [10, -10, 3, 7],
  [0, 50, 2, 0],
])('%i replicas and %i percent, at least %i, are %i', (base, percent, minAdjustment, replicas) => {
  const rule = { adjustmentType: 'percent', minAdjustment } as StepScaling
  expect(adjusted(rule, percent, base)).toBe(replicas)
})
