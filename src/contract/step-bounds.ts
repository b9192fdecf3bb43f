/** The bounds of a step policy, as AWS has them: relative to the threshold, without gap or overlap. Source: StepAdjustment, Application Auto Scaling. */
import { InferdError } from './errors.ts'
import type { ScalingStep, StepScaling } from './scaling.ts'

export const MAX_STEPS = 20

/** In order. Throws invalid_parameter, which names `param`. */
export function requireSteps(steps: readonly ScalingStep[], adjustmentType: StepScaling['adjustmentType'], param: string): readonly ScalingStep[] {
  const refuse = (words: string): never => {
    throw new InferdError('invalid_parameter', `${param}: ${words}`, { param })
  }
  if (steps.length === 0 || steps.length > MAX_STEPS) refuse(`there must be 1 to ${MAX_STEPS} steps`)
  for (const { lower, upper, adjustment } of steps) {
    if (lower === null && upper === null) refuse('a step must have a lower or an upper bound')
    if (lower !== null && upper !== null && lower >= upper) refuse(`the upper bound ${upper} must be above the lower bound ${lower}`)
    if (adjustmentType === 'exact' && adjustment < 0) refuse(`${adjustment} is no number of replicas`)
  }
  for (const end of ['lower', 'upper'] as const)
    if (steps.filter((step) => step[end] === null).length > 1) refuse(`at most one step may have no ${end} bound`)
  const ordered = steps.toSorted((a, b) => (a.lower ?? -Infinity) - (b.lower ?? -Infinity))
  for (const [index, { upper }] of ordered.slice(0, -1).entries()) {
    const next = ordered[index + 1]!.lower ?? -Infinity
    if ((upper ?? Infinity) > next) refuse(`steps overlap at ${next}`)
    if ((upper ?? Infinity) < next) refuse(`there is a gap between ${upper} and ${next}`)
  }
  const [first, last] = [ordered[0]!, ordered.at(-1)!]
  if (first.lower !== null && first.lower < 0) refuse(`the step from ${first.lower} needs one below it without lower bound`)
  if (last.upper !== null && last.upper > 0) refuse(`the step to ${last.upper} needs one above it without upper bound`)
  return ordered
}

/**
 * Of the metric less the threshold. Above the threshold a step has its lower end, below it its upper one; at it, the side counts from which the
 * alarm looks.
 */
export function stepAt(steps: readonly ScalingStep[], past: number, side: 'above' | 'below'): ScalingStep | null {
  const isAbove = past > 0 || (past === 0 && side === 'above')
  const found = steps.find(({ lower, upper }) => {
    const [from, to] = [lower ?? -Infinity, upper ?? Infinity]
    return isAbove ? past >= from && past < to : past > from && past <= to
  })
  return found ?? null
}

/** Of `base` replicas. Percents round as AWS has it: towards zero, but never to none. */
export function adjusted({ adjustmentType, minAdjustment }: StepScaling, adjustment: number, base: number): number {
  if (adjustmentType === 'exact') return adjustment
  if (adjustmentType === 'change') return base + adjustment
  const exact = (base * adjustment) / 100
  if (exact === 0) return base
  return base + Math.sign(exact) * Math.max(1, minAdjustment, Math.floor(Math.abs(exact)))
}
