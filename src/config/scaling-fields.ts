/** `scaling` of a variant in inferd.yaml: bounds, a target to keep to, steps, schedules. */
import { z } from 'zod'
import { InferdError } from '#contract/errors'
import { parseSchedule } from '#contract/schedule'
import type { AlarmCondition, StepScaling } from '#contract/scaling'
import { MAX_STEPS, requireSteps } from '#contract/step-bounds'

const MAX_SECONDS = 86_400
/** Steps look at periods of so long, and all of their window must be past the threshold. */
const PERIOD_S = 10
const MAX_WINDOW_S = 3600
const OUT_WINDOW_S = 10
const IN_WINDOW_S = 120
const OUT_COOLDOWN_S = 60
const IN_COOLDOWN_S = 300
const MAX_NAMED = 20

const seconds = z.number().min(0).max(MAX_SECONDS)
export const replicaCount = z.int().min(1).max(64)
const least = z.int().min(0).max(64)
const metric = z.enum(['concurrency', 'invocations', 'queue-wait', 'kv-usage', 'tokens', 'backlog'])
const ruleName = z.string().regex(/^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,49}$/, 'letters, digits and single dashes between them, at most 50')

const change = z
  .strictObject({
    from: z.number().optional().describe('Of the metric less the threshold.'),
    to: z.number().optional(),
    by: z.int().min(-1000).max(1000).describe('Replicas, percent of them, or their number, as `adjustment` says.'),
  })
  .transform(({ from = null, to = null, by }) => ({ lower: from, upper: to, adjustment: by }))

const step = z
  .strictObject({
    name: ruleName,
    metric,
    above: z.number().optional(),
    below: z.number().optional(),
    windowS: z
      .int()
      .min(PERIOD_S)
      .max(MAX_WINDOW_S)
      .multipleOf(PERIOD_S)
      .optional()
      .describe(`For so long it must be past the threshold; ${OUT_WINDOW_S} above, ${IN_WINDOW_S} below.`),
    cooldownS: seconds.optional().describe(`${OUT_COOLDOWN_S} above, ${IN_COOLDOWN_S} below.`),
    adjustment: z.enum(['change', 'percent', 'exact']).default('change'),
    minAdjustment: z.int().min(1).max(64).optional().describe('Of percent: at least so many replicas.'),
    changes: z.array(change).min(1).max(MAX_STEPS),
  })
  .refine(({ above, below }) => (above === undefined) !== (below === undefined), 'give either above or below')
  .refine(({ adjustment, minAdjustment }) => adjustment === 'percent' || minAdjustment === undefined, 'minAdjustment is for percent')
  .transform(({ name, ...rest }, context) => {
    const isOut = rest.above !== undefined
    const trigger: AlarmCondition = {
      metric: rest.metric,
      of: 'replica',
      statistic: 'average',
      operator: isOut ? 'above' : 'below',
      threshold: rest.above ?? rest.below ?? 0,
      periodMs: PERIOD_S * 1000,
      numPeriods: (rest.windowS ?? (isOut ? OUT_WINDOW_S : IN_WINDOW_S)) / PERIOD_S,
      numBreaching: (rest.windowS ?? (isOut ? OUT_WINDOW_S : IN_WINDOW_S)) / PERIOD_S,
      missing: 'not-breaching',
    }
    const rule: StepScaling = {
      kind: 'step',
      trigger,
      adjustmentType: rest.adjustment,
      minAdjustment: rest.minAdjustment ?? 1,
      steps: checked(context, () => requireSteps(rest.changes, rest.adjustment, 'changes')) ?? [],
      cooldownMs: (rest.cooldownS ?? (isOut ? OUT_COOLDOWN_S : IN_COOLDOWN_S)) * 1000,
      aggregation: 'average',
    }
    return { name, rule }
  })

const schedule = z
  .strictObject({
    name: ruleName,
    at: z.string().min(1).max(256).describe('`at(2027-01-31T08:00:00)`, `rate(1 day)` or `cron(0 8 ? * MON-FRI *)`.'),
    timezone: z.string().min(1).max(64).default('UTC'),
    min: least.optional(),
    max: replicaCount.optional(),
  })
  .refine(({ min, max }) => min !== undefined || max !== undefined, 'give min, max or both')
  .refine(({ min = 0, max = 64 }) => min <= max, 'min must not be above max')
  .transform(({ name, at, timezone, min, max }, context) => ({
    name,
    expression: at,
    schedule: checked(context, () => parseSchedule(at, timezone)) ?? { kind: 'at' as const, atMs: 0 },
    timezone,
    minReplicas: min ?? null,
    maxReplicas: max ?? null,
  }))

export const scalingFields = z
  .strictObject({
    min: least.default(1).describe('0: it sleeps when nothing is asked of it.'),
    max: replicaCount,
    metric: metric.optional().describe('What is kept near `target`.'),
    target: z.number().gt(0).optional(),
    scaleInCooldownS: seconds.optional().describe('300 when not given.'),
    scaleOutCooldownS: seconds.optional().describe('30 when not given.'),
    steps: z.array(step).max(MAX_NAMED).default([]).describe('Changes by how far a metric is past a threshold.'),
    schedules: z.array(schedule).max(MAX_NAMED).default([]).describe('When bounds become others.'),
  })
  .refine(({ min, max }) => min <= max, 'min must not be above max')
  .refine(({ metric: kept, target }) => (kept === undefined) === (target === undefined), 'metric and target belong together')
  .refine(({ target, steps }) => target !== undefined || steps.length > 0, 'give a metric and its target, or steps')
  .refine(
    ({ target, scaleInCooldownS, scaleOutCooldownS }) => target !== undefined || (scaleInCooldownS ?? scaleOutCooldownS) === undefined,
    'scaleInCooldownS and scaleOutCooldownS are for a target; a step has cooldownS',
  )
  .refine(({ steps, schedules }) => isOnce(steps) && isOnce(schedules), 'two steps or two schedules have one name')
  .transform(({ min, max, metric: kept, target, scaleInCooldownS = 300, scaleOutCooldownS = 30, steps, schedules }) => ({
    min,
    max,
    tracking: kept === undefined || target === undefined ? null : { metric: kept, target, scaleInCooldownS, scaleOutCooldownS },
    steps,
    schedules,
  }))

function isOnce(named: readonly { readonly name: string }[]): boolean {
  return new Set(named.map(({ name }) => name)).size === named.length
}

/** undefined = it was refused, and `context` says why. */
function checked<T>(context: z.RefinementCtx, make: () => T): T | undefined {
  try {
    return make()
  } catch (error) {
    if (!(error instanceof InferdError)) throw error
    context.addIssue({ code: 'custom', message: error.message })
    return undefined
  }
}
