/** What several servers see of one endpoint, put together for the one that decides. */
import type { ErrorRecord } from '#contract/errors'
import type { EndpointSight, UnitSight } from './advance-endpoint.ts'

/** What one server sees of an endpoint that is on its way. */
export interface EndpointReport {
  /** Of the endpoint's row: another one may have had the name before. */
  readonly createdMs: number
  readonly units: Readonly<Record<string, UnitSight>>
  /** Words of an alarm that is on there, about the units of the next generation. */
  readonly alarm: string | null
}

export interface DeploymentReport {
  /** By name; those that stand still are left out. */
  readonly endpoints: Readonly<Record<string, EndpointReport>>
}

/** The servers that use one store, this one among them. */
export interface DeploymentPeers {
  /** Whether this one decides. A hint: the store refuses what another one decides by now. */
  readonly isLeading: boolean
  /** Epoch milliseconds. */
  readonly ledSinceMs: number
  /** Of the others. */
  readonly reports: readonly DeploymentReport[]
}

/** A unit is up where all have it up, wrong where it is with one, and gone where nobody has it. */
export function mergeSights(
  { name, createdMs }: { readonly name: string; readonly createdMs: number },
  own: EndpointSight,
  peers: DeploymentPeers,
): EndpointSight {
  const others = peers.reports.map(({ endpoints }) => {
    const report = endpoints[name]
    return report?.createdMs === createdMs ? report : null
  })
  const seen = (unit: string): readonly (UnitSight | null)[] => [own.units.get(unit) ?? null, ...others.map((report) => report?.units[unit] ?? null)]
  const units = new Set([...own.units.keys(), ...others.flatMap((report) => Object.keys(report?.units ?? {}))])
  return {
    nowMs: own.nowMs,
    units: new Map([...units].map((unit) => [unit, merged(seen(unit))])),
    alarm: [own.alarm, ...others.map((report) => report?.alarm ?? null)].find((alarm) => alarm !== null) ?? null,
    // What another one had watched before is not known.
    sinceMs: Math.max(own.sinceMs, peers.ledSinceMs),
  }
}

function merged(seen: readonly (UnitSight | null)[]): UnitSight {
  const problem: ErrorRecord | null = seen.find((sight) => sight !== null && sight.problem !== null)?.problem ?? null
  return { isUp: seen.every((sight) => sight?.isUp === true), problem }
}
