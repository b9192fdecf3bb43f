/** Provisioned throughput put together: the desk that sells units, and the keeper of what was sold. */
import type { Clock } from '#base/clock'
import type { PlatformFile } from '#config/platform-file'
import { InferdError } from '#contract/errors'
import type { ProvisionedDesk } from '#contract/provisioned'
import type { BudgetBook } from '#platform/admission/budget-book'
import type { PriceTable } from '#platform/metering/price-table'
import { StoredThroughput } from '#platform/provisioned/throughput-desk'
import { KeptThroughput } from '#platform/provisioned/kept-throughput'
import type { UnitBook } from '#platform/provisioned/unit-book'
import type { ModelRegistry } from '#platform/registry/model-registry'
import type { RoutingHandler } from '#platform/routing/routing-handler'
import type { Store } from '#platform/store/open-store'
import { ResourceTable } from '#platform/store/resource-rows'
import type { Log } from '#telemetry/log'
import type { Metrics } from '#telemetry/metrics'
import { UnitMetrics } from '#telemetry/unit-metrics'

interface ProvisionedParts {
  readonly store: Store
  readonly file: Pick<PlatformFile, 'provisioned' | 'telemetry'>
  readonly models: ModelRegistry
  /** Those that never sleep; null = all that are of this machine. */
  readonly alwaysOn: ReadonlySet<string> | null
  readonly routing: RoutingHandler
  readonly prices: PriceTable
  readonly budgets: BudgetBook
  readonly units: UnitBook
  readonly metrics: Metrics
  readonly clock: Clock
  readonly log: Log
}

export interface Provisioned {
  readonly desk: ProvisionedDesk
  start(): Promise<void>
  close(): Promise<void>
}

/** Throws invalid_parameter for a model of which nothing can be promised. */
export function openProvisioned(parts: ProvisionedParts): Provisioned {
  const { store, file, models, alwaysOn, routing, prices, budgets, units, metrics, clock, log } = parts
  for (const name of Object.keys(file.provisioned)) {
    const isLasting = models.maxRunningOf(name, 1) !== null && (alwaysOn?.has(name) ?? true)
    if (!isLasting)
      throw new InferdError('invalid_parameter', `provisioned.${name}: there is no model of this machine with this name that is always on`, {
        param: '--config',
      })
  }
  new UnitMetrics({ registry: metrics.registry, maxLabelValues: file.telemetry.maxLabelValues, figures: () => units.figures })
  const keeper = new KeptThroughput({
    store,
    book: units,
    models: file.provisioned,
    priceOf: (model) => prices.unitPrice(model),
    putRoute: (route) => routing.putRoute(route),
    removeRoute: (name) => routing.removeRoute(name),
    onCharge: (charge) => budgets.charge(charge, charge.cost, clock.wallMs()),
    clock,
    log,
  })
  const desk = new StoredThroughput({
    table: new ResourceTable(store.db),
    models: file.provisioned,
    modelOf: (name) => {
      const targets = routing.targetsOf(name)
      return targets.length === 1 && models.maxRunningOf(targets[0]!, 1) !== null ? targets[0]! : null
    },
    isFreeName: (name) => routing.targetsOf(name).length === 0,
    keeper,
    clock,
  })
  return { desk, start: () => keeper.start(), close: () => keeper.close() }
}
