/** Reports over the ledger, for the usage API and `inferd usage`. */
import { InferdError } from '#contract/errors'
import type { UsageReports } from '#contract/usage-record'
import type { Store } from '#platform/store/open-store'
import { sumUsage } from '#platform/store/usage-table'

/** Groups of one report; one that has more is asked for in parts. */
const MAX_TOTALS = 10_000

/** `flush`: brings what is settled to the store before it is read; waits no longer than the store does. */
export function usageReports({ db }: Pick<Store, 'db'>, flush: () => Promise<void>): UsageReports {
  return {
    totals: async (filter, groupBy) => {
      await flush()
      const totals = await sumUsage(db, filter, { groupBy, limit: MAX_TOTALS + 1 })
      if (totals.length > MAX_TOTALS) {
        throw new InferdError('invalid_parameter', `the report has more than ${MAX_TOTALS} rows; ask for less time or fewer groups`, {
          param: 'group_by',
        })
      }
      return totals
    },
  }
}
