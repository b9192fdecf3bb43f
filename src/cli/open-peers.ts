/** The servers that use one store, where several can: an embedded store has one. */
import type { Clock } from '#base/clock'
import type { DeploymentReport } from '#platform/deployments/peer-sights'
import { PeerGroup } from '#platform/peers/peer-group'
import type { LoadReport } from '#platform/scaling/peer-loads'
import type { Store } from '#platform/store/open-store'
import { PeerTable } from '#platform/store/peer-rows'
import type { Log } from '#telemetry/log'
import { holdersHere } from './holders-here.ts'

/** What each server tells the others. */
export type ServerReport = DeploymentReport & LoadReport

export type Peers = PeerGroup<ServerReport>

export interface PeerParts {
  readonly store: Store
  /** This server decides for all from now on, or not any more. */
  readonly onLead: (isLeading: boolean) => void
  readonly clock: Clock
  readonly log: Log
}

export function openPeers({ store, onLead, clock, log }: PeerParts): Peers | null {
  if (!store.isShared) return null
  const { newHolderId, isGone } = holdersHere(store, 'server')
  return new PeerGroup({ table: new PeerTable(store.db), newId: newHolderId, isGone, onLead, clock, log })
}
