/** Where an endpoint goes next: a pure function of what is kept, what is seen, and the time. */
import type { RolloutPlan } from '#contract/deployment'
import type { ErrorRecord } from '#contract/errors'
import { type EndpointDocument, type Generation, type Rollout, unitsOf } from './endpoint-document.ts'

/** What is seen of a unit. */
export interface UnitSight {
  readonly isUp: boolean
  /** It could not be started. */
  readonly problem: ErrorRecord | null
}

export interface EndpointSight {
  /** Also those that nobody wants any more, until they are gone. */
  readonly units: ReadonlyMap<string, UnitSight>
  /** Words of an alarm that is on, about the units of the next generation; null = none is. */
  readonly alarm: string | null
  /** Epoch milliseconds. */
  readonly nowMs: number
  /** Since when alarms have been watched without a break: a step's wait and the bake begin again after a restart. */
  readonly sinceMs: number
}

/** Shares of counts are not exact: three thirds are all. */
const ROUNDING = 1e-6

/** The same document when nothing changes. One step at a time: what comes after it is seen the next time. */
export function advanceEndpoint(name: string, document: EndpointDocument, sight: EndpointSight): EndpointDocument {
  const { isWanted, next, rollout } = document
  if (!isWanted || next === null || rollout === null) return document
  const units = unitsOf(name, next).map(({ unit }) => sight.units.get(unit) ?? null)
  if (rollout.phase === 'rolling-back') return units.every((unit) => unit === null) ? { ...document, next: null, rollout: null } : document
  const problem = problemOf(rollout, units, sight)
  if (problem !== null) return { ...document, problem, rollout: { ...rollout, phase: 'rolling-back', percent: 0, steppedMs: sight.nowMs } }
  // After a restart they load again, whatever the phase: nothing goes on without them.
  if (!units.every((unit) => unit?.isUp === true)) return document
  if (rollout.phase === 'starting') return started(document, next, rollout, sight.nowMs)
  if (isGrowing(rollout)) return { ...document, rollout: stepped(rollout, next, sight.nowMs) }
  const waitMs = rollout.phase === 'shifting' ? rollout.plan.waitMs : rollout.plan.bakeMs
  if (sight.nowMs - Math.max(rollout.steppedMs, sight.sinceMs) < waitMs) return document
  if (rollout.phase === 'baking') return served(document)
  return { ...document, rollout: rollout.plan.kind === 'rolling' ? widened(rollout, next) : stepped(rollout, next, sight.nowMs) }
}

function problemOf({ plan, phase, startedMs }: Rollout, units: readonly (UnitSight | null)[], { alarm, nowMs }: EndpointSight): ErrorRecord | null {
  const failed = units.find((unit) => unit !== null && unit.problem !== null)
  if (failed?.problem !== undefined && failed.problem !== null) return failed.problem
  if (nowMs - startedMs > plan.maxDurationMs) return record('deadline_exceeded', `it did not end within ${plan.maxDurationMs / 1000} s`)
  return alarm === null || phase === 'starting' ? null : record('degenerate_output', alarm)
}

function record(code: ErrorRecord['code'], message: string): ErrorRecord {
  return { code, message, param: null, retryAfterMs: null }
}

/** A first generation serves as soon as it is up: nobody was served before. */
function started(document: EndpointDocument, next: Generation, rollout: Rollout, nowMs: number): EndpointDocument {
  return document.serving === null ? served(document) : { ...document, rollout: stepped(rollout, next, nowMs) }
}

function served(document: EndpointDocument): EndpointDocument {
  return { ...document, serving: document.next, next: null, rollout: null, problem: null }
}

/** The replicas of a step of a rolling update are starting. */
function isGrowing({ room, percent }: Rollout): boolean {
  return room !== undefined && room > percent
}

function widened(rollout: Rollout, next: Generation): Rollout {
  return { ...rollout, room: nextPercent(rollout.plan, rollout.percent, next) }
}

/** Where a rollout begins; a rolling update with the replicas of its first step. */
export function beginRollout(plan: RolloutPlan, next: Generation, nowMs: number): Rollout {
  const rollout: Rollout = { plan, phase: 'starting', percent: 0, startedMs: nowMs, steppedMs: nowMs }
  return plan.kind === 'rolling' ? widened(rollout, next) : rollout
}

function stepped(rollout: Rollout, next: Generation, nowMs: number): Rollout {
  const percent = rollout.room ?? nextPercent(rollout.plan, rollout.percent, next)
  return { ...rollout, percent, phase: percent === 100 ? 'baking' : 'shifting', steppedMs: nowMs }
}

function nextPercent(plan: RolloutPlan, percent: number, next: Generation): number {
  if (plan.kind === 'all-at-once' || (plan.kind === 'canary' && percent > 0)) return 100
  const reached = percent + stepOf(plan, next)
  return reached > 100 - ROUNDING ? 100 : reached
}

/** A sleeping replica counts as one: calls wake it. */
function stepOf({ stepPercent, stepReplicas }: RolloutPlan, { variants }: Generation): number {
  if (stepReplicas === undefined) return stepPercent
  return (100 * stepReplicas) / variants.reduce((sum, { replicas }) => sum + Math.max(1, replicas), 0)
}
