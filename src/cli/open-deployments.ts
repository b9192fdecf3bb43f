/** Deployments put together: the desks that declare them, the controller and the scaler that make them so, and the machine as their fleet. */
import path from 'node:path'
import type { Clock } from '#base/clock'
import type { PlatformFile } from '#config/platform-file'
import { InferdError } from '#contract/errors'
import type { ObjectStores } from '#contract/objects'
import { AlarmWatch } from '#platform/deployments/alarm-watch'
import { Declarations } from '#platform/deployments/declaration-desk'
import { StoredDeployments } from '#platform/deployments/deployment-desk'
import { EndpointController } from '#platform/deployments/endpoint-controller'
import { EndpointRows } from '#platform/deployments/endpoint-rows'
import type { Fleet, UnitTerms } from '#platform/deployments/fleet'
import { ObjectArtifacts } from '#platform/deployments/object-artifact'
import type { RoutingHandler } from '#platform/routing/routing-handler'
import { Autoscaler } from '#platform/scaling/autoscaler'
import { StoredScaling } from '#platform/scaling/scaling-desk'
import { selectBacklog } from '#platform/store/job-backlog'
import type { Store } from '#platform/store/open-store'
import { ResourceTable } from '#platform/store/resource-rows'
import type { ServerServices } from '#server/services'
import type { Log } from '#telemetry/log'
import type { LocalSource, OpenModels } from './open-models.ts'

/** What of this machine's models deployments use. */
export type Machine = Pick<OpenModels, 'units' | 'artifactOf' | 'alwaysOn'>

export interface DeploymentParts {
  readonly store: Store
  readonly file: Pick<PlatformFile, 'alarms'>
  /** null = there are no deployments. */
  readonly machine: Machine | null
  readonly routing: RoutingHandler
  readonly objects: ObjectStores
  readonly dataDir: string | null
  readonly watch: AlarmWatch
  readonly clock: Clock
  readonly log: Log
}

export interface Deployments {
  readonly services: Pick<ServerServices, 'deployments' | 'scaling' | 'declarations'>
  /** Resolves when what was deployed before has its names again. */
  start(): Promise<void>
  close(): Promise<void>
}

const NONE: Deployments = { services: { deployments: null, scaling: null, declarations: null }, start: async () => {}, close: async () => {} }

export function openDeployments(parts: DeploymentParts): Deployments {
  const { store, file, machine, routing, objects, dataDir, watch, clock, log } = parts
  if (machine === null) return NONE
  const table = new ResourceTable(store.db)
  const alarms = file.alarms.map(({ windowS, ...rule }) => ({ ...rule, windowMs: windowS * 1000 }))
  const artifacts = dataDir === null ? null : new ObjectArtifacts({ objects, folder: path.join(dataDir, 'models') })
  const fleet = fleetOf(machine, routing, artifacts)
  const controller = new EndpointController({ rows: new EndpointRows(table), fleet, watch, alarms, clock, log })
  const alarmNames = alarms.map(({ name }) => name)
  const desk = new StoredDeployments({ table, fleet, controller, alarmNames, clock })
  const scaling = new StoredScaling({ table, deployments: desk, clock })
  const scaler = new Autoscaler({
    desk: scaling,
    deployments: desk,
    find: (unit) => fleet.find(unit),
    queueWaitMs: (unit, windowMs) => watch.queueWaitMs(unit, windowMs),
    backlogs: async () => new Map((await selectBacklog(store.db, 'async')).map(({ lane, numWaiting }) => [lane, numWaiting])),
    clock,
    log,
  })
  return {
    services: { deployments: desk, scaling, declarations: new Declarations({ deployments: desk, scaling, alarmNames, clock }) },
    start: async () => {
      await controller.start()
      void artifacts?.sweep()
      scaler.start()
    },
    close: async () => {
      await scaler.close()
      await controller.close()
    },
  }
}

function fleetOf({ units, artifactOf }: Machine, routing: RoutingHandler, artifacts: ObjectArtifacts | null): Fleet {
  const localSource = async ({ unit, source, kvCacheMib }: UnitTerms, signal: AbortSignal): Promise<LocalSource> => {
    if (source.kind === 'served') return { kind: 'served', model: source.model, kvCacheMib }
    if (artifacts === null) throw new InferdError('unsupported_parameter', 'a server without a data directory takes no models from buckets')
    return { kind: 'file', path: await artifacts.fetch(unit, source, signal), kvCacheMib }
  }
  return {
    add: async (terms, signal) => units.add(terms, artifactOf(await localSource(terms, signal)), signal),
    find: (unit) => units.find(unit),
    retire: async (unit) => {
      await units.retire(unit)
      routing.forget(unit)
      artifacts?.release(unit)
    },
    isFreeName: (name) => routing.isFreeName(name),
    putRoute: (route) => routing.putRoute(route),
    removeRoute: (name) => routing.removeRoute(name),
  }
}
