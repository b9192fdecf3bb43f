/** Deployments put together: the desks that declare them, the controller and the scaler that make them so, and the machine as their fleet. */
import path from 'node:path'
import type { Clock } from '#base/clock'
import type { PlatformFile } from '#config/platform-file'
import { InferdError } from '#contract/errors'
import type { ObjectStores } from '#contract/objects'
import type { ProvisionedDesk } from '#contract/provisioned'
import type { EndpointCaptures } from '#platform/capture/call-captures'
import { comparisonDesk } from '#platform/comparison/comparison-desk'
import { AlarmWatch } from '#platform/deployments/alarm-watch'
import { Declarations } from '#platform/deployments/declaration-desk'
import { StoredDeployments } from '#platform/deployments/deployment-desk'
import { EndpointController } from '#platform/deployments/endpoint-controller'
import { EndpointRows } from '#platform/deployments/endpoint-rows'
import type { Fleet, UnitTerms } from '#platform/deployments/fleet'
import { ObjectArtifacts } from '#platform/deployments/object-artifact'
import { StoredTags } from '#platform/deployments/tag-desk'
import type { DeployedTerms } from '#platform/invocations/deployed-terms'
import type { RoutingHandler } from '#platform/routing/routing-handler'
import { Autoscaler, type AutoscalerParts, type ScalingWatch } from '#platform/scaling/autoscaler'
import { busiestLoad, longestWait, measureLoads } from '#platform/scaling/peer-loads'
import { StoredScaling } from '#platform/scaling/scaling-desk'
import { ScalingDriver } from '#platform/scaling/scaling-driver'
import { selectBacklog } from '#platform/store/job-backlog'
import type { Store } from '#platform/store/open-store'
import { ResourceTable } from '#platform/store/resource-rows'
import type { Metrics } from '#telemetry/metrics'
import { ScalingMetrics } from '#telemetry/scaling-metrics'
import type { ServerServices } from '#server/services'
import type { Log } from '#telemetry/log'
import type { LocalSource, OpenModels } from './open-models.ts'
import { openPeers, type Peers, type ServerReport } from './open-peers.ts'

/** What of this machine's models deployments use. */
export type Machine = Pick<OpenModels, 'units' | 'artifactOf' | 'alwaysOn'>

export interface DeploymentParts {
  readonly store: Store
  readonly file: Pick<PlatformFile, 'alarms' | 'asyncInference' | 'telemetry'>
  /** null = there are no deployments. */
  readonly machine: Machine | null
  readonly routing: RoutingHandler
  readonly objects: ObjectStores
  readonly dataDir: string | null
  readonly watch: AlarmWatch
  readonly captures: EndpointCaptures
  readonly asyncTerms: DeployedTerms
  readonly provisioned: ProvisionedDesk
  /** Brings what the ledger has to the store. */
  readonly flush: () => Promise<void>
  readonly metrics: Metrics
  readonly clock: Clock
  readonly log: Log
}

export interface Deployments {
  readonly services: Pick<ServerServices, 'deployments' | 'scaling' | 'declarations' | 'tags' | 'comparisons'>
  /** Resolves when what was deployed before has its names again. */
  start(): Promise<void>
  close(): Promise<void>
}

interface Pressure extends Pick<AutoscalerParts, 'find' | 'queueWaitMs'> {
  numServers(): number
}

/** Who leads next does what was due since the one before him was seen last. */
const SUCCESSION_MS = 10_000
const QUEUE_WINDOW_MS = 10_000
const MAX_TAGGED_JOBS = 10_000

const NO_DESKS = { deployments: null, scaling: null, declarations: null, tags: null, comparisons: null }
const NONE: Deployments = { services: NO_DESKS, start: async () => {}, close: async () => {} }

export function openDeployments(parts: DeploymentParts): Deployments {
  const { store, file, machine, routing, objects, dataDir, watch, captures, asyncTerms, clock, log } = parts
  if (machine === null) return NONE
  const table = new ResourceTable(store.db)
  const peers = openPeers({ store, onLead: (leads) => (leads ? driver.drive(SUCCESSION_MS) : driver.halt()), clock, log })
  // What is decided for all servers is written only by the one that decides.
  const decided = peers === null ? table : new ResourceTable(store.db, peers.mayDecide)
  const alarms = file.alarms.map(({ windowS, ...rule }) => ({ ...rule, windowMs: windowS * 1000 }))
  const artifacts = dataDir === null ? null : new ObjectArtifacts({ objects, folder: path.join(dataDir, 'models') })
  const fleet = fleetOf(machine, routing, artifacts)
  const controller = new EndpointController({ rows: new EndpointRows(decided), fleet, peers, captures, asyncTerms, watch, alarms, clock, log })
  const alarmNames = alarms.map(({ name }) => name)
  const topicNames = file.asyncInference.topics.map(({ name }) => name)
  const desk = new StoredDeployments({ table, fleet, controller, objects, alarmNames, topicNames, clock })
  const scaling = new StoredScaling({ table, deployments: desk, clock })
  const deciding = new StoredDeployments({ table: decided, fleet, controller, alarmNames, clock })
  const pressure = pressureOn(fleet, watch, peers)
  const scalingWatch = watchFor(new ScalingMetrics(parts.metrics.registry, file.telemetry.maxLabelValues), clock)
  const makeScaler = (): Autoscaler =>
    new Autoscaler({
      desk: new StoredScaling({ table: decided, deployments: deciding, clock }),
      deployments: deciding,
      ...pressure,
      backlogs: async () =>
        new Map((await selectBacklog(store.db, 'async')).map(({ lane, numWaiting }) => [lane, numWaiting / pressure.numServers()])),
      watch: scalingWatch,
      clock,
      log,
    })
  const driver = new ScalingDriver(makeScaler, clock)
  const report = async (): Promise<ServerReport> => ({
    ...controller.report(),
    ...(await measureLoads({
      targets: () => scaling.listTargets(),
      deployments: desk,
      find: fleet.find,
      queueWaitMs: (unit) => watch.queueWaitMs(unit, QUEUE_WINDOW_MS),
      clock,
    })),
  })
  return {
    services: {
      deployments: desk,
      scaling,
      comparisons: comparisonDesk({ store, deployments: desk, flush: parts.flush, clock }),
      tags: new StoredTags({ table, clock, maxJobs: MAX_TAGGED_JOBS }),
      declarations: new Declarations({ deployments: desk, scaling, provisioned: parts.provisioned, alarmNames, clock }),
    },
    start: async () => {
      await controller.start()
      void artifacts?.sweep()
      if (peers === null) driver.drive(0)
      else await peers.start(report)
    },
    close: async () => {
      await peers?.close()
      await driver.close()
      await controller.close()
    },
  }
}

/** What is asked of units here, or on the server of which most is asked. */
function pressureOn(fleet: Fleet, watch: AlarmWatch, peers: Peers | null): Pressure {
  const waitHere: Pressure['queueWaitMs'] = (unit, windowMs) => watch.queueWaitMs(unit, windowMs)
  if (peers === null) return { find: (unit) => fleet.find(unit), queueWaitMs: waitHere, numServers: () => 1 }
  return {
    find: (unit) => ({ measure: async (signal) => busiestLoad((await fleet.find(unit)?.measure(signal)) ?? null, unit, peers.reports) }),
    queueWaitMs: (unit, windowMs) => longestWait(waitHere(unit, windowMs), unit, peers.reports),
    numServers: () => peers.reports.length + 1,
  }
}

function watchFor(metrics: ScalingMetrics, clock: Clock): ScalingWatch {
  return {
    onLook: (targets) =>
      metrics.setTargets(
        targets.map(({ target: { endpoint, variant, minReplicas, maxReplicas }, variant: placed }) => ({
          endpoint,
          variant,
          desired: placed?.desiredReplicas ?? null,
          current: placed?.currentReplicas ?? null,
          min: minReplicas,
          max: maxReplicas,
        })),
      ),
    onDecision: (target, cause, outcome) => metrics.onDecision(target, { cause, outcome, atMs: clock.wallMs() }),
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
