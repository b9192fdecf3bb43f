/**
 * How many replicas a target should have: a pure function of what was measured, what is wanted, and when it was changed last.
 *
 * Out follows the mean of the last seconds, so that a burst is met soon; in follows the largest need of the whole window, so that a lull ends
 * nothing. What is counted over all replicas (calls, tokens) gives a need that does not depend on how many there are: a change never asks for
 * the next one.
 */
import type { AlarmCondition, ScalableTarget, ScalingMetric, ScalingPolicy, StepScaling, TargetTracking } from '#contract/scaling'
import { adjusted, stepAt } from '#contract/step-bounds'
import { isRatio, periodValue, readAlarm } from './read-alarm.ts'

export interface CapacitySample {
  /** Monotonic, as `nowMs`. */
  readonly atMs: number
  /** Replicas wanted at that time. */
  readonly replicas: number
  /** Of all replicas together; null = not known. */
  readonly values: Readonly<Record<ScalingMetric, number | null>>
}

export interface CapacityHistory {
  /** Oldest first. */
  readonly samples: readonly CapacitySample[]
  readonly lastOutMs: number
  /** Replicas before the rises that `lastOutMs` is the last of. */
  readonly lastOutBase: number
  readonly lastInMs: number
}

/** An alarm that is on, and the policy that it starts. */
export interface FiredAlarm {
  readonly name: string
  readonly policy: string
  readonly condition: AlarmCondition
}

export interface CapacityQuestion {
  readonly target: ScalableTarget
  readonly policies: readonly ScalingPolicy[]
  readonly fired: readonly FiredAlarm[]
  readonly history: CapacityHistory
  /** Replicas wanted now. */
  readonly current: number
  /** Monotonic. */
  readonly nowMs: number
}

export interface CapacityDecision {
  readonly replicas: number
  /** What the next step within the cooldown adds to. */
  readonly base: number
  readonly kind: 'bounds' | 'target-tracking' | 'step'
  readonly cause: string
}

type Wish = Omit<CapacityDecision, 'kind'>

/** Means of the last ten seconds decide about more. */
const OUT_WINDOW_MS = 10_000
const MIN_IN_WINDOW_MS = 10_000
const MAX_IN_WINDOW_MS = 300_000
const USED_WINDOW_MS = 60_000
/** So much past the target is near enough. */
const TOLERANCE = 0.1

/** null = as it is. */
export function decideCapacity(question: CapacityQuestion): CapacityDecision | null {
  const { target, policies, history, current, nowMs } = question
  const least = target.minReplicas === 0 && isUsed(history.samples, nowMs) ? 1 : target.minReplicas
  const bound = (replicas: number): number => Math.min(target.maxReplicas, Math.max(least, replicas))
  if (bound(current) !== current) {
    const cause = current < least && least > target.minReplicas ? 'it is called' : `between ${target.minReplicas} and ${target.maxReplicas}`
    return { replicas: bound(current), base: current, kind: 'bounds', cause }
  }
  const wishes = policies.flatMap(({ name, rule }): CapacityDecision | readonly [] => {
    const wish = rule.kind === 'step' ? stepWish(name, rule, question) : trackingWish(rule, question)
    // Who can ask only for more and does not keeps nobody from having fewer.
    const isSilent = wish === null || (rule.kind === 'target-tracking' && rule.isScaleInDisabled && wish.replicas <= current)
    return isSilent ? [] : { ...wish, replicas: bound(wish.replicas), kind: rule.kind, cause: `policy ${name}: ${wish.cause}` }
  })
  const most = wishes.toSorted((a, b) => b.replicas - a.replicas)[0]
  if (most === undefined || most.replicas === current) return null
  if (most.replicas > current) return target.isScaleOutSuspended ? null : most
  if (target.isScaleInSuspended) return null
  // Fewer only if all that keep to a target agree: also one of which nothing is known.
  const numKeepers = policies.filter(({ rule }) => rule.kind === 'target-tracking' && !rule.isScaleInDisabled).length
  return wishes.filter(({ kind }) => kind === 'target-tracking').length === numKeepers ? most : null
}

/** null = nothing can be said. */
function trackingWish(rule: TargetTracking, { history, current, nowMs }: CapacityQuestion): Wish | null {
  const stay = { replicas: current, base: current, cause: '' }
  const recent = meanOf(rule.metric, history.samples, nowMs - OUT_WINDOW_MS)
  if (recent === null) return null
  const need = needOf(rule, recent, current)
  const words = `${rule.metric} is ${round(recent)}, the target ${rule.target}${isRatio(rule.metric) ? '' : ' a replica'}`
  if (need > current && isPast(rule, recent, current))
    return nowMs - history.lastOutMs < rule.scaleOutCooldownMs ? stay : { ...stay, replicas: need, cause: words }
  if (need >= current || rule.isScaleInDisabled) return stay
  const windowMs = Math.min(MAX_IN_WINDOW_MS, Math.max(MIN_IN_WINDOW_MS, rule.scaleInCooldownMs))
  const isResting = nowMs - Math.max(history.lastInMs, history.lastOutMs) < rule.scaleInCooldownMs
  if (isResting || !covers(history.samples, nowMs - windowMs)) return stay
  const within = history.samples.filter(({ atMs }) => atMs >= nowMs - windowMs)
  const largest = Math.max(need, ...within.map((sample) => needOf(rule, sample.values[rule.metric] ?? 0, sample.replicas)))
  return largest < current ? { ...stay, replicas: largest, cause: words } : stay
}

/**
 * Whether somebody has called it lately or waits for it: it is not for any policy to let it sleep then. A short call may be over between two
 * looks: the calls of the last minute have it.
 */
function isUsed(samples: readonly CapacitySample[], nowMs: number): boolean {
  const called = samples.at(-1)?.values.invocations ?? 0
  const isWaitedFor = ({ atMs, values: { concurrency, backlog } }: CapacitySample): boolean =>
    atMs > nowMs - USED_WINDOW_MS && ((concurrency ?? 0) > 0 || (backlog ?? 0) > 0)
  return called > 0 || samples.some(isWaitedFor)
}

function needOf({ metric, target }: TargetTracking, value: number, replicas: number): number {
  return Math.ceil(((isRatio(metric) ? value * Math.max(1, replicas) : value) / target) * (1 - 1e-9))
}

function isPast({ metric, target }: TargetTracking, value: number, replicas: number): boolean {
  return (isRatio(metric) ? value : value / Math.max(1, replicas)) > target * (1 + TOLERANCE)
}

/** null = nothing starts it, or it asks for no change. Of several alarms the one counts that asks for most. */
function stepWish(name: string, rule: StepScaling, question: CapacityQuestion): Wish | null {
  const { fired, history, nowMs } = question
  const isTriggered = rule.trigger !== null && readAlarm(rule.trigger, history.samples, nowMs, 'ok').state === 'alarm'
  const conditions = [
    ...fired.filter(({ policy }) => policy === name).map((alarm) => ({ condition: alarm.condition, by: `alarm ${alarm.name}, ` })),
    ...(isTriggered ? [{ condition: rule.trigger, by: '' }] : []),
  ]
  const wishes = conditions.flatMap(({ condition, by }) => {
    const wish = startedWish(rule, condition, question)
    return wish === null ? [] : [{ ...wish, cause: `${by}${wish.cause}` }]
  })
  return wishes.toSorted((a, b) => b.replicas - a.replicas)[0] ?? null
}

/**
 * Out within the cooldown adds to what there was before it: the same step again asks for nothing more, a larger one for the rest. In waits for
 * the cooldown of any change. Source: Cooldown, StepScalingPolicyConfiguration of Application Auto Scaling.
 */
function startedWish(rule: StepScaling, condition: AlarmCondition, { history, current, nowMs }: CapacityQuestion): Wish | null {
  const statistic = condition.statistic === 'sum' ? 'sum' : rule.aggregation
  const value = periodValue(condition, statistic, history.samples, nowMs)
  if (value === null) return null
  const side = condition.operator === 'above' || condition.operator === 'at-or-above' ? 'above' : 'below'
  const step = stepAt(rule.steps, value - condition.threshold, side)
  if (step === null) return null
  const base = nowMs - history.lastOutMs < rule.cooldownMs ? Math.min(history.lastOutBase, current) : current
  const cause = `${condition.metric} is ${round(value)}, ${side} ${condition.threshold}`
  const out = adjusted(rule, step.adjustment, base)
  if (out > current) return { replicas: out, base, cause }
  const less = adjusted(rule, step.adjustment, current)
  const isResting = nowMs - Math.max(history.lastInMs, history.lastOutMs) < rule.cooldownMs
  return less < current && !isResting ? { replicas: less, base: current, cause } : null
}

function meanOf(metric: ScalingMetric, samples: readonly CapacitySample[], fromMs: number): number | null {
  const values = samples.flatMap(({ atMs, values: all }) => (atMs >= fromMs ? (all[metric] ?? []) : []))
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Whether it was watched for so long. */
function covers(samples: readonly CapacitySample[], fromMs: number): boolean {
  const first = samples[0]
  return first !== undefined && first.atMs <= fromMs
}

function round(value: number): number {
  return Number(value.toPrecision(4))
}
