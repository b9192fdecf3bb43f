/** Deployments put together: the desk that declares them, the controller that makes them so, and the machine as their fleet. */
import path from 'node:path'
import type { Clock } from '#base/clock'
import type { PlatformFile } from '#config/platform-file'
import type { DeploymentDesk } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import type { ObjectStores } from '#contract/objects'
import { AlarmWatch } from '#platform/deployments/alarm-watch'
import { StoredDeployments } from '#platform/deployments/deployment-desk'
import { EndpointController } from '#platform/deployments/endpoint-controller'
import { EndpointRows } from '#platform/deployments/endpoint-rows'
import type { Fleet, UnitTerms } from '#platform/deployments/fleet'
import { ObjectArtifacts } from '#platform/deployments/object-artifact'
import type { RoutingHandler } from '#platform/routing/routing-handler'
import type { Store } from '#platform/store/open-store'
import type { Log } from '#telemetry/log'
import type { LocalSource, OpenModels } from './open-models.ts'

export interface DeploymentParts {
  readonly store: Store
  readonly file: Pick<PlatformFile, 'alarms'>
  readonly machine: Pick<OpenModels, 'units' | 'artifactOf'>
  readonly routing: RoutingHandler
  readonly objects: ObjectStores
  readonly dataDir: string | null
  readonly watch: AlarmWatch
  readonly clock: Clock
  readonly log: Log
}

export interface Deployments {
  readonly desk: DeploymentDesk
  /** Resolves when what was deployed before has its names again. */
  start(): Promise<void>
  close(): Promise<void>
}

export function openDeployments(parts: DeploymentParts): Deployments {
  const { store, file, watch, clock, log } = parts
  const alarms = file.alarms.map(({ windowS, ...rule }) => ({ ...rule, windowMs: windowS * 1000 }))
  const fleet = fleetOf(parts)
  const controller = new EndpointController({ rows: new EndpointRows(store), fleet, watch, alarms, clock, log })
  const desk = new StoredDeployments({ store, fleet, controller, alarmNames: alarms.map(({ name }) => name), clock })
  return { desk, start: () => controller.start(), close: () => controller.close() }
}

function fleetOf({ machine: { units, artifactOf }, routing, objects, dataDir }: DeploymentParts): Fleet {
  const artifacts = dataDir === null ? null : new ObjectArtifacts({ objects, folder: path.join(dataDir, 'models') })
  const localSource = async ({ source, kvCacheMib }: UnitTerms, signal: AbortSignal): Promise<LocalSource> => {
    if (source.kind === 'served') return { kind: 'served', model: source.model, kvCacheMib }
    if (artifacts === null) throw new InferdError('unsupported_parameter', 'a server without a data directory takes no models from buckets')
    return { kind: 'file', path: await artifacts.fetch(source.team, source.uri, signal), kvCacheMib }
  }
  return {
    add: async (terms, signal) => units.add(terms, artifactOf(await localSource(terms, signal)), signal),
    find: (unit) => units.find(unit),
    retire: async (unit) => {
      await units.retire(unit)
      routing.forget(unit)
    },
    isFreeName: (name) => routing.isFreeName(name),
    putRoute: (route) => routing.putRoute(route),
    removeRoute: (name) => routing.removeRoute(name),
  }
}
