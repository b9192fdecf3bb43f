/** Scaling put together: the desk, and the loop that looks at every target. */
import type { Clock } from '#base/clock'
import type { ScalingDesk } from '#contract/scaling'
import { Autoscaler } from '#platform/scaling/autoscaler'
import { StoredScaling } from '#platform/scaling/scaling-desk'
import { selectBacklog } from '#platform/store/job-backlog'
import type { Store } from '#platform/store/open-store'
import type { Log } from '#telemetry/log'
import type { DeploymentParts, Deployments } from './open-deployments.ts'

export interface ScalingParts {
  readonly store: Store
  readonly deployments: Deployments
  readonly machine: DeploymentParts['machine']
  readonly watch: DeploymentParts['watch']
  readonly clock: Clock
  readonly log: Log
}

export interface Scaling {
  readonly desk: ScalingDesk
  start(): void
  close(): Promise<void>
}

export function openScaling({ store, deployments, machine, watch, clock, log }: ScalingParts): Scaling {
  const desk = new StoredScaling({ store, deployments: deployments.desk, clock })
  const scaler = new Autoscaler({
    desk,
    deployments: deployments.desk,
    find: (unit) => machine.units.find(unit),
    queueWaitMs: (unit, windowMs) => watch.queueWaitMs(unit, windowMs),
    backlogs: async () => new Map((await selectBacklog(store.db, 'async')).map(({ lane, numWaiting }) => [lane, numWaiting])),
    clock,
    log,
  })
  return { desk, start: () => scaler.start(), close: () => scaler.close() }
}
