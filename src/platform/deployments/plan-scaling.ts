/**
 * What must change for variants to scale as a document says. Policies and schedules of documents have names of their own: those of others stay.
 * Pure.
 */
import type { DeclaredChange, DeclaredEndpoint, DeclaredScaling } from '#contract/declaration'
import type { Endpoint, EndpointConfig } from '#contract/deployment'
import type { ScalableTarget, ScalingPolicy, ScheduledAction } from '#contract/scaling'
import { differences } from './differences.ts'

export interface PresentScaling {
  readonly endpoints: readonly Endpoint[]
  readonly targets: readonly ScalableTarget[]
  readonly policies: readonly ScalingPolicy[]
  readonly schedules: readonly ScheduledAction[]
  /** By the wall clock. */
  readonly nowMs: number
}

export interface ScalingChange extends DeclaredChange {
  readonly kind: 'scaling'
  readonly endpoint: string
  readonly variant: string
  /** null = it goes. */
  readonly scaling: DeclaredScaling | null
  /** Policies or schedules of others are of the same target: they stay, and so does it. */
  readonly isShared: boolean
}

/** Of the policy that keeps to a target. */
export const POLICY_NAME = 'declared'
const PREFIX = `${POLICY_NAME}-`

type Place = Pick<ScalableTarget, 'endpoint' | 'variant'>

/** Of a step policy or a schedule that a document calls `name`. */
export function declaredName(name: string): string {
  return `${PREFIX}${name}`
}

function isOfDocument({ name }: { readonly name: string }): boolean {
  return name === POLICY_NAME || name.startsWith(PREFIX)
}

export interface ScalingAt {
  readonly target: ScalableTarget | undefined
  /** Of documents. */
  readonly policies: readonly ScalingPolicy[]
  readonly schedules: readonly ScheduledAction[]
  /** Policies or schedules of others are there too. */
  readonly isShared: boolean
}

export function scalingAt(endpoint: string, variant: string, present: Omit<PresentScaling, 'endpoints' | 'nowMs'>): ScalingAt {
  const isAt = (one: Place): boolean => one.endpoint === endpoint && one.variant === variant
  const [policies, schedules] = [present.policies.filter(isAt), present.schedules.filter(isAt)]
  return {
    target: present.targets.find(isAt),
    policies: policies.filter(isOfDocument),
    schedules: schedules.filter(isOfDocument),
    isShared: [...policies, ...schedules].some((one) => !isOfDocument(one)),
  }
}

export function scalingChanges(
  { name: endpoint, variants }: DeclaredEndpoint,
  config: Pick<EndpointConfig, 'name'>,
  present: PresentScaling,
): readonly ScalingChange[] {
  const found = present.endpoints.find(({ name, status }) => name === endpoint && status !== 'Failed' && status !== 'Deleting')
  return variants.flatMap((variant): readonly ScalingChange[] => {
    const { name } = variant
    const there = scalingAt(endpoint, name, present)
    const scaling = variant.scaling === null ? null : withoutPast(variant.scaling, present.nowMs)
    const base = { kind: 'scaling', name: `${endpoint}/${name}`, endpoint, variant: name, scaling, isShared: there.isShared } as const
    if (scaling === null) return there.policies.length === 0 ? [] : [{ ...base, action: 'delete', details: [] }]
    const isRollout = found !== undefined && (found.config !== config.name || found.rollout !== null)
    if (isRollout && found.variants.every((one) => one.name !== name || one.isShadow || one.serverless !== null))
      return [{ ...base, action: 'later', details: ['when the rollout has ended'] }]
    // An endpoint that is made again takes its scaling along.
    if (found === undefined || there.target === undefined || there.policies.length === 0) return [{ ...base, action: 'create', details: [] }]
    const details = differences(viewOf(there.target, there), wantedView(scaling))
    return [{ ...base, action: details.length === 0 ? 'keep' : 'update', details }]
  })
}

/** What documents scaled, of variants that are no more. */
export function leftScaling(endpoints: readonly DeclaredEndpoint[], staying: readonly Endpoint[], present: PresentScaling): readonly ScalingChange[] {
  const isNamed = ({ endpoint, variant }: Place): boolean =>
    endpoints.some(({ name, variants }) => name === endpoint && variants.some((one) => one.name === variant))
  const left = present.targets.filter((target) => !isNamed(target) && staying.every(({ name }) => name !== target.endpoint))
  return left.flatMap(({ endpoint, variant }) => {
    const { policies, isShared } = scalingAt(endpoint, variant, present)
    const base = { kind: 'scaling', action: 'delete', name: `${endpoint}/${variant}`, details: [] } as const
    return policies.length === 0 ? [] : [{ ...base, endpoint, variant, scaling: null, isShared }]
  })
}

/** An `at` that is over was done, or is done no more. */
function withoutPast(scaling: DeclaredScaling, nowMs: number): DeclaredScaling {
  return { ...scaling, schedules: scaling.schedules.filter(({ schedule }) => schedule.kind !== 'at' || schedule.atMs > nowMs) }
}

/** As a document says it, with steps and schedules by their names. */
function wantedView({ min, max, tracking, steps, schedules }: DeclaredScaling): object {
  return {
    min,
    max,
    ...tracking,
    steps: Object.fromEntries(steps.map(({ name, rule }) => [name, rule])),
    schedules: Object.fromEntries(schedules.map(({ name, schedule: _schedule, ...rest }) => [name, rest])),
  }
}

function viewOf({ setBounds }: ScalableTarget, { policies, schedules }: Pick<ScalingAt, 'policies' | 'schedules'>): object {
  const nameOf = ({ name }: { readonly name: string }): string => name.slice(PREFIX.length)
  const tracking = policies.map(({ rule }) => rule).find((rule) => rule.kind === 'target-tracking')
  return {
    min: setBounds.minReplicas,
    max: setBounds.maxReplicas,
    ...(tracking === undefined
      ? {}
      : {
          metric: tracking.metric,
          target: tracking.target,
          scaleInCooldownS: tracking.scaleInCooldownMs / 1000,
          scaleOutCooldownS: tracking.scaleOutCooldownMs / 1000,
        }),
    steps: Object.fromEntries(policies.flatMap((policy) => (policy.rule.kind === 'step' ? [[nameOf(policy), policy.rule]] : []))),
    schedules: Object.fromEntries(
      schedules.map((one) => {
        const { expression, timezone, minReplicas, maxReplicas } = one
        return [nameOf(one), { expression, timezone, minReplicas, maxReplicas }]
      }),
    ),
  }
}
