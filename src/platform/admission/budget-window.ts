/** The wall-clock windows of budgets, UTC. */
import type { CallerLimits } from '#contract/principal'

export type BudgetPeriod = CallerLimits['budgetPeriod']

const MS_PER_DAY = 86_400_000

/** When the window that holds `wallMs` began; epoch milliseconds. */
export function windowStart(period: BudgetPeriod, wallMs: number): number {
  if (period === 'total') return 0
  if (period === 'day') return Math.floor(wallMs / MS_PER_DAY) * MS_PER_DAY
  const date = new Date(wallMs)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
}
