/** Has a variant scale as a document says: its target, then policies and schedules, then what documents say no more. */
import type { DeclaredScaling } from '#contract/declaration'
import { InferdError } from '#contract/errors'
import type { ScalableTarget, ScalingDesk } from '#contract/scaling'
import { declaredName, POLICY_NAME, type ScalingChange, scalingAt } from './plan-scaling.ts'

type Place = Pick<ScalableTarget, 'endpoint' | 'variant'>

export async function makeScaling(desk: ScalingDesk, { endpoint, variant, scaling, isShared }: ScalingChange): Promise<void> {
  const place = { endpoint, variant }
  if (scaling === null && !isShared) return desk.deleteTarget(endpoint, variant).catch(unlessGone)
  if (scaling !== null) await putScaling(desk, place, scaling)
  const wanted = new Set(scaling === null ? [] : namesOf(scaling))
  const { policies, schedules } = scalingAt(endpoint, variant, await present(desk))
  for (const { name } of policies) if (!wanted.has(name)) await desk.deletePolicy(endpoint, variant, name).catch(unlessGone)
  for (const { name } of schedules) if (!wanted.has(name)) await desk.deleteSchedule(endpoint, variant, name).catch(unlessGone)
}

/** Bounds that a schedule has moved stay where they are, as long as the document says the same as before. */
async function putScaling(desk: ScalingDesk, place: Place, { min, max, tracking, steps, schedules }: DeclaredScaling): Promise<void> {
  const { target } = scalingAt(place.endpoint, place.variant, await present(desk))
  if (target?.setBounds.minReplicas !== min || target.setBounds.maxReplicas !== max) {
    const flags = { isScaleInSuspended: false, isScaleOutSuspended: false, isScheduleSuspended: false }
    await desk.putTarget({ ...place, ...flags, minReplicas: min, maxReplicas: max })
  }
  if (tracking !== null) {
    const { metric, target: value, scaleInCooldownS, scaleOutCooldownS } = tracking
    const cooldowns = { scaleInCooldownMs: scaleInCooldownS * 1000, scaleOutCooldownMs: scaleOutCooldownS * 1000 }
    const rule = { kind: 'target-tracking', metric, target: value, ...cooldowns, isScaleInDisabled: false } as const
    await desk.putPolicy({ ...place, name: POLICY_NAME, rule, request: null })
  }
  for (const { name, rule } of steps) await desk.putPolicy({ ...place, name: declaredName(name), rule, request: null })
  for (const { name, ...action } of schedules) await desk.putSchedule({ ...place, name: declaredName(name), ...action, startMs: null, endMs: null })
}

function namesOf({ tracking, steps, schedules }: DeclaredScaling): readonly string[] {
  return [...(tracking === null ? [] : [POLICY_NAME]), ...[...steps, ...schedules].map(({ name }) => declaredName(name))]
}

async function present(desk: ScalingDesk): Promise<Parameters<typeof scalingAt>[2]> {
  return { targets: await desk.listTargets(), policies: await desk.listPolicies(), schedules: await desk.listSchedules() }
}

function unlessGone(error: unknown): void {
  if (!(error instanceof InferdError) || error.code !== 'resource_not_found') throw error
}
