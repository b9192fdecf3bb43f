/**
 * What is asked of the units of scaled variants on the other servers of the store. A variant has the same number of replicas on each server, so
 * the server of which most is asked says how many.
 */
import type { Clock } from '#base/clock'
import type { DeploymentDesk } from '#contract/deployment'
import type { ScalableTarget } from '#contract/scaling'
import type { FleetUnit, UnitLoad } from '#platform/deployments/fleet'

export interface UnitPressure {
  readonly load: UnitLoad
  /** p95; null = no call. */
  readonly queueWaitMs: number | null
}

export interface LoadReport {
  /** By unit. */
  readonly loads: Readonly<Record<string, UnitPressure>>
}

export interface LoadSource {
  readonly targets: () => Promise<readonly Pick<ScalableTarget, 'endpoint' | 'variant'>[]>
  readonly deployments: Pick<DeploymentDesk, 'findEndpoint'>
  readonly find: (unit: string) => Pick<FleetUnit, 'measure'> | null
  readonly queueWaitMs: (unit: string) => number | null
  readonly clock: Clock
}

/** All of them together: who measures for others must not be taken for dead over it. */
const MEASURE_MS = 500

/** What does not answer in time is left out. */
export async function measureLoads({ targets, deployments, find, queueWaitMs, clock }: LoadSource): Promise<LoadReport> {
  const late = new AbortController()
  const tooLate = clock.sleep(MEASURE_MS, late.signal).catch(() => {})
  const loads: Record<string, UnitPressure> = {}
  const measure = async ({ endpoint, variant }: Pick<ScalableTarget, 'endpoint' | 'variant'>): Promise<void> => {
    const found = await deployments.findEndpoint(endpoint)
    const unit = found?.variants.find(({ name, isShadow }) => name === variant && !isShadow)?.unit
    const load = unit === undefined ? null : await find(unit)?.measure(late.signal)
    if (unit !== undefined && load !== null && load !== undefined) loads[unit] = { load, queueWaitMs: queueWaitMs(unit) }
  }
  const all = Promise.allSettled((await targets()).map(measure))
  await Promise.race([all, tooLate])
  late.abort()
  return { loads: { ...loads } }
}

/** The largest of all servers; null where none knows. */
export function busiestLoad(own: UnitLoad | null, unit: string, reports: readonly LoadReport[]): UnitLoad {
  const all = [own, ...reports.map(({ loads }) => loads[unit]?.load ?? null)]
  const most = (metric: keyof UnitLoad): number | null => largest(all.map((load) => load?.[metric] ?? null))
  return { concurrency: most('concurrency'), invocations: most('invocations'), 'kv-usage': most('kv-usage'), tokens: most('tokens') }
}

export function longestWait(own: number | null, unit: string, reports: readonly LoadReport[]): number | null {
  return largest([own, ...reports.map(({ loads }) => loads[unit]?.queueWaitMs ?? null)])
}

function largest(values: readonly (number | null)[]): number | null {
  const known = values.flatMap((value) => value ?? [])
  return known.length === 0 ? null : Math.max(...known)
}
