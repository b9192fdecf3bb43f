/** The ledger, read minute by minute, and the prices that are declared, as plans. */
import type { Clock } from '#base/clock'
import type { ProvisionedModels } from '#config/platform-file/provisioned'
import { InferdError } from '#contract/errors'
import type { ModePlan, ModePlanner } from '#contract/mode-plan'
import type { UsageFilter } from '#contract/usage-record'
import type { PriceTable } from '#platform/metering/price-table'
import { type MinuteRow, selectMinutes } from '#platform/store/usage-minutes'
import type { Store } from '#platform/store/open-store'
import { compareModes, type TrafficMinute } from './compare-modes.ts'

export interface ModePlannerParts {
  readonly store: Pick<Store, 'db'>
  readonly prices: PriceTable
  readonly provisioned: ProvisionedModels
  /** Brings what is settled to the store. */
  readonly flush: () => Promise<void>
  readonly clock: Clock
}

const DAY_MS = 86_400_000
const DEFAULT_DAYS = 7
const MAX_DAYS = 31
/** Minutes with traffic, of all models. */
const MAX_ROWS = 500_000

export function modePlanner({ store, prices, provisioned, flush, clock }: ModePlannerParts): ModePlanner {
  return {
    plans: async (filter) => {
      const toMs = filter.toMs ?? clock.wallMs()
      const fromMs = filter.fromMs ?? toMs - DEFAULT_DAYS * DAY_MS
      if (toMs - fromMs > MAX_DAYS * DAY_MS) throw new InferdError('invalid_parameter', `at most ${MAX_DAYS} days are looked at`, { param: 'from' })
      await flush()
      const rows = await selectMinutes(store.db, { ...filter, fromMs, toMs } satisfies UsageFilter, MAX_ROWS + 1)
      if (rows.length > MAX_ROWS)
        throw new InferdError('invalid_parameter', 'that is too much traffic at once: name a model, or less time', { param: 'model' })
      const plans = [...byModel(rows)].map(([model, minutes]) =>
        compareModes(model, minutes, { row: prices.rowOf(model), units: ownOf(provisioned, model) }, Math.min(toMs, clock.wallMs())),
      )
      return plans.toSorted((a, b) => highest(b) - highest(a) || (a.model < b.model ? -1 : 1))
    },
  }
}

function byModel(rows: readonly MinuteRow[]): ReadonlyMap<string, readonly TrafficMinute[]> {
  const found = new Map<string, TrafficMinute[]>()
  for (const { model, ...minute } of rows) {
    const minutes = found.get(model)
    if (minutes === undefined) found.set(model, [minute])
    else minutes.push(minute)
  }
  return found
}

function ownOf(provisioned: ProvisionedModels, model: string): ProvisionedModels[string] | null {
  return Object.hasOwn(provisioned, model) ? provisioned[model]! : null
}

function highest({ modes }: ModePlan): number {
  return Math.max(0, ...modes.map(({ usdPerMonth }) => usdPerMonth ?? 0))
}
