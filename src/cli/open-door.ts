/** The door of the models put together: what the models say of themselves, money in the store, throughput that was bought. */
import type { Clock } from '#base/clock'
import type { Random } from '#base/random'
import type { PlatformFile } from '#config/platform-file'
import { Admission, type ModelTerms } from '#platform/admission/admission'
import { BudgetBook } from '#platform/admission/budget-book'
import { ReservationLog } from '#platform/admission/reservation-log'
import type { Ledger } from '#platform/metering/ledger'
import type { PriceTable } from '#platform/metering/price-table'
import { UnitBook } from '#platform/provisioned/unit-book'
import type { ModelRegistry } from '#platform/registry/model-registry'
import { factsOf, type ServedModelState } from '#contract/served-model'
import type { RoutingHandler } from '#platform/routing/routing-handler'
import type { Store } from '#platform/store/open-store'
import { forgetReservations, insertReservations, sumOfCosts, takeOpenReservations } from '#platform/store/usage-table'
import type { Log } from '#telemetry/log'
import type { Metrics } from '#telemetry/metrics'
import type { Machine } from './open-deployments.ts'
import { openProvisioned, type Provisioned } from './open-provisioned.ts'

interface DoorParts {
  readonly store: Store
  readonly file: Pick<PlatformFile, 'admission' | 'provisioned' | 'telemetry'>
  readonly models: ModelRegistry
  readonly maxSequences: number
  readonly requestTimeoutMs: number
  readonly clock: Clock
  readonly random: Random
  readonly prices: PriceTable
  readonly routing: RoutingHandler
  readonly ledger: Ledger
  readonly metrics: Metrics
  readonly machine: Pick<Machine, 'alwaysOn'> | null
  readonly log: Log
}

export interface Door {
  readonly admission: Admission
  readonly provisioned: Provisioned
}

/** Rejects with store_failed, and invalid_parameter for units of a model of which nothing can be promised. */
export async function openDoor(parts: DoorParts): Promise<Door> {
  const { store, file, ledger, machine, clock } = parts
  const budgets = new BudgetBook({
    spentSince: async (subject, fromMs) => {
      await ledger.flush()
      return sumOfCosts(store.db, subject, fromMs)
    },
  })
  budgets.adopt(await takeOpenReservations(store.db, clock.wallMs()))
  const reservations = new ReservationLog({
    insert: (group) => insertReservations(store.db, group),
    forget: (ids) => forgetReservations(store.db, ids),
  })
  const units = new UnitBook()
  const provisioned = openProvisioned({ ...parts, alwaysOn: machine?.alwaysOn ?? null, budgets, units })
  return { admission: new Admission({ ...parts, config: file.admission, terms: modelTerms(parts), budgets, reservations, units }), provisioned }
}

/** What the models say of themselves, through the routes to them. */
function modelTerms({ models, maxSequences, routing }: DoorParts): ModelTerms {
  const contextOf = (name: string): number => {
    const model = models.find(name)
    return model === null ? 0 : (factsOf(model.state)?.contextLength ?? 0)
  }
  return {
    queueOf: (name) => {
      const targets = routing.targetsOf(name)
      return targets.length === 1 ? targets[0]! : name
    },
    candidates: (name) => routing.targetsOf(name),
    contextLength: (name) => Math.max(0, ...routing.targetsOf(name).map(contextOf)) || null,
    isUp: (queue) => {
      const targets = routing.targetsOf(queue)
      return targets.length === 0 || targets.some((name) => isUp(models.find(name)?.state))
    },
    maxRunning: (queue) => {
      const each = routing.targetsOf(queue).map((name) => models.boundOf(name))
      return each.length === 0 || each.includes(null) ? null : each.reduce<number>((sum, one) => sum + (one ?? 0), 0)
    },
    maxSequences: (queue) => {
      const each = routing.targetsOf(queue).map((name) => models.maxRunningOf(name, maxSequences))
      return each.length === 0 || each.includes(null) ? null : each.reduce<number>((sum, one) => sum + (one ?? 0), 0)
    },
  }
}

function isUp(state: ServedModelState | undefined): boolean {
  return state?.kind !== 'asleep' && state?.kind !== 'loading'
}
