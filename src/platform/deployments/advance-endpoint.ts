/** Where an endpoint goes next: a pure function of what is kept, what is seen, and the time. */
import type { RolloutPlan } from '#contract/deployment'
import type { ErrorRecord } from '#contract/errors'
import { type EndpointDocument, type Rollout, unitsOf } from './endpoint-document.ts'

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
  if (rollout.phase === 'starting') return started(document, rollout, sight.nowMs)
  const waitMs = rollout.phase === 'shifting' ? rollout.plan.waitMs : rollout.plan.bakeMs
  if (sight.nowMs - Math.max(rollout.steppedMs, sight.sinceMs) < waitMs) return document
  return rollout.phase === 'baking' ? served(document) : { ...document, rollout: stepped(rollout, sight.nowMs) }
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
function started(document: EndpointDocument, rollout: Rollout, nowMs: number): EndpointDocument {
  return document.serving === null ? served(document) : { ...document, rollout: stepped(rollout, nowMs) }
}

function served(document: EndpointDocument): EndpointDocument {
  return { ...document, serving: document.next, next: null, rollout: null, problem: null }
}

function stepped(rollout: Rollout, nowMs: number): Rollout {
  const percent = nextPercent(rollout.plan, rollout.percent)
  return { ...rollout, percent, phase: percent === 100 ? 'baking' : 'shifting', steppedMs: nowMs }
}

function nextPercent({ kind, stepPercent }: RolloutPlan, percent: number): number {
  if (kind === 'all-at-once' || (kind === 'canary' && percent > 0)) return 100
  return Math.min(100, percent + stepPercent)
}
