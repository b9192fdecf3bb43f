/**
 * How many replicas a target should have: a pure function of what was measured, what is wanted, and when it was changed last.
 *
 * Out follows the mean of the last seconds, so that a burst is met soon; in follows the largest need of the whole window, so that a lull ends
 * nothing. What is counted over all replicas (calls, tokens) gives a need that does not depend on how many there are: a change never asks for
 * the next one.
 */
import type { ScalableTarget, ScalingMetric, ScalingPolicy, StepScaling, TargetTracking } from '#contract/scaling'

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
  readonly lastInMs: number
}

export interface CapacityDecision {
  readonly replicas: number
  readonly cause: string
}

/** Means of the last ten seconds decide about more. */
const OUT_WINDOW_MS = 10_000
const MIN_IN_WINDOW_MS = 10_000
const MAX_IN_WINDOW_MS = 300_000
/** So much past the target is near enough. */
const TOLERANCE = 0.1
/** Means of what is not counted: they say how full each replica is. */
const RATIOS: ReadonlySet<ScalingMetric> = new Set(['kv-usage', 'queue-wait'])

/** null = as it is. */
export function decideCapacity(
  target: ScalableTarget,
  policies: readonly ScalingPolicy[],
  history: CapacityHistory,
  current: number,
  nowMs: number,
): CapacityDecision | null {
  const bounded = Math.min(target.maxReplicas, Math.max(target.minReplicas, current))
  if (bounded !== current) return { replicas: bounded, cause: `between ${target.minReplicas} and ${target.maxReplicas}` }
  const clamp = (decision: CapacityDecision): CapacityDecision => ({
    ...decision,
    replicas: Math.min(target.maxReplicas, Math.max(target.minReplicas, decision.replicas)),
  })
  const wishes = policies.flatMap(({ name, rule }) => {
    const wish = wishOf(rule, history, current, nowMs)
    // Who can ask only for more and does not keeps nobody from having fewer.
    const isSilent = wish === null || (wish.replicas <= current && !mayScaleIn(rule))
    return isSilent ? [] : [clamp({ replicas: wish.replicas, cause: `policy ${name}: ${wish.cause}` })]
  })
  const most = wishes.toSorted((a, b) => b.replicas - a.replicas)[0]
  if (most === undefined || most.replicas === current) return null
  if (most.replicas > current) return target.isScaleOutSuspended ? null : most
  // Fewer only if all that may say so agree: also one of which nothing is known.
  const isAgreed = wishes.length === policies.filter(({ rule }) => mayScaleIn(rule)).length && !target.isScaleInSuspended
  return isAgreed ? most : null
}

/** A step may that takes away; one that adds has no word in it. */
function mayScaleIn(rule: ScalingPolicy['rule']): boolean {
  return rule.kind === 'step' ? rule.when === 'below' : !rule.isScaleInDisabled
}

/** null = nothing can be said. */
function wishOf(rule: ScalingPolicy['rule'], history: CapacityHistory, current: number, nowMs: number): CapacityDecision | null {
  return rule.kind === 'step' ? stepWish(rule, history, current, nowMs) : trackingWish(rule, history, current, nowMs)
}

function trackingWish(rule: TargetTracking, history: CapacityHistory, current: number, nowMs: number): CapacityDecision | null {
  const stay = { replicas: current, cause: '' }
  const recent = meanOf(rule.metric, history.samples, nowMs - OUT_WINDOW_MS)
  if (recent === null) return null
  const need = needOf(rule, recent, current)
  const words = `${rule.metric} is ${round(recent)}, the target ${rule.target}${RATIOS.has(rule.metric) ? '' : ' a replica'}`
  if (need > current && isPast(rule, recent, current))
    return nowMs - history.lastOutMs < rule.scaleOutCooldownMs ? stay : { replicas: need, cause: words }
  if (need >= current || rule.isScaleInDisabled) return stay
  const windowMs = Math.min(MAX_IN_WINDOW_MS, Math.max(MIN_IN_WINDOW_MS, rule.scaleInCooldownMs))
  const isResting = nowMs - Math.max(history.lastInMs, history.lastOutMs) < rule.scaleInCooldownMs
  if (isResting || !covers(history.samples, nowMs - windowMs)) return stay
  const within = history.samples.filter(({ atMs }) => atMs >= nowMs - windowMs)
  const largest = Math.max(need, ...within.map((sample) => needOf(rule, sample.values[rule.metric] ?? 0, sample.replicas)))
  return largest < current ? { replicas: largest, cause: words } : stay
}

function needOf({ metric, target }: TargetTracking, value: number, replicas: number): number {
  return Math.ceil(((RATIOS.has(metric) ? value * replicas : value) / target) * (1 - 1e-9))
}

function isPast({ metric, target }: TargetTracking, value: number, replicas: number): boolean {
  return (RATIOS.has(metric) ? value : value / Math.max(1, replicas)) > target * (1 + TOLERANCE)
}

function stepWish(rule: StepScaling, history: CapacityHistory, current: number, nowMs: number): CapacityDecision | null {
  const stay = { replicas: current, cause: '' }
  const recent = meanOf(rule.metric, history.samples, nowMs - OUT_WINDOW_MS)
  if (recent === null || !covers(history.samples, nowMs - OUT_WINDOW_MS)) return null
  const value = RATIOS.has(rule.metric) ? recent : recent / Math.max(1, current)
  const isBreached = rule.when === 'above' ? value > rule.threshold : value < rule.threshold
  if (!isBreached || nowMs - Math.max(history.lastInMs, history.lastOutMs) < rule.cooldownMs) return stay
  const past = value - rule.threshold
  const step = rule.steps.find(({ lower, upper }) => past >= (lower ?? -Infinity) && past < (upper ?? Infinity))
  if (step === undefined) return stay
  return { replicas: adjusted(rule, step.adjustment, current), cause: `${rule.metric} is ${round(value)} a replica, ${rule.when} ${rule.threshold}` }
}

function adjusted({ adjustmentType, minAdjustment }: StepScaling, adjustment: number, current: number): number {
  if (adjustmentType === 'exact') return adjustment
  if (adjustmentType === 'change') return current + adjustment
  // As AWS rounds: away from zero below one, towards zero above it.
  const exact = (current * adjustment) / 100
  const rounded = Math.abs(exact) < 1 ? Math.sign(exact) : Math.trunc(exact)
  return current + Math.sign(rounded) * Math.max(Math.abs(rounded), rounded === 0 ? 0 : minAdjustment)
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
