/** What a call costs, exactly: integers of 10^-12 dollars, rounded once at the end, halves up. */
import { divideRounded } from '#base/decimal'
import type { PriceEntries, PriceEntry } from '#config/platform-file/prices'
import type { Picodollars, ServiceTier } from '#contract/call'
import type { Usage } from '#contract/generate'

export interface PricedUse {
  readonly usage: Usage
  readonly tier: ServiceTier
  readonly isBatch: boolean
  readonly responseCache: 'none' | 'exact' | 'semantic'
  /** The call's share of its model's busy time, milliseconds: an hour of one call alone is 3,600,000. */
  readonly busyMs: number
  /** False: it failed after it had begun; the price of the request itself is not due. */
  readonly isAnswered: boolean
}

export interface Charge {
  /** Name of the row; '' = free. */
  readonly price: string
  readonly cost: Picodollars
}

export interface WorstCase {
  readonly promptTokens: number
  /** Over all choices. */
  readonly outputTokens: number
  readonly tier: Exclude<ServiceTier, 'reserved'>
  readonly isBatch: boolean
}

const US_PER_HOUR = 3_600_000_000n
/** Two factors in thousandths. */
const FACTORS = 1_000_000n

export class PriceTable {
  private readonly rows: ReadonlyMap<string, PriceEntry>
  private readonly baseOf: (model: string) => string

  /** `baseOf`: whose price a model without one of its own has, before that of `*`. */
  constructor(entries: PriceEntries, baseOf = (model: string): string => model) {
    this.rows = new Map(Object.entries(entries))
    this.baseOf = baseOf
  }

  charge(model: string | null, { usage, tier, isBatch, responseCache, busyMs, isAnswered }: PricedUse): Charge {
    const found = model === null ? null : this.find(model)
    if (found === null) return { price: '', cost: 0n }
    const { name, row } = found
    // Paid for by the hour.
    if (tier === 'reserved') return { price: name, cost: 0n }
    const isHit = responseCache !== 'none'
    const factors = row.tiers[tier] * (isHit ? row.responseCacheHit : isBatch ? row.batch : 1000n)
    const byHour = isHit ? 0n : divideRounded(BigInt(Math.round(busyMs * 1000)) * row.perHour, US_PER_HOUR)
    return { price: name, cost: divideRounded((tokensCost(row, usage) + (isAnswered ? row.perRequest : 0n)) * factors, FACTORS) + byHour }
  }

  /** The most that tokens of a call may cost at the dearest of `models`. The share of hours is not known before and not in it. */
  worstCase(models: readonly string[], { promptTokens, outputTokens, tier, isBatch }: WorstCase): Picodollars {
    let most = 0n
    for (const model of models) {
      const row = this.find(model)?.row
      if (row === undefined) continue
      const { input, cachedInput = input, cacheWrite = input, output, reasoning = output } = row
      const tokens = BigInt(promptTokens) * largest(input, cachedInput, cacheWrite) + BigInt(outputTokens) * largest(output, reasoning)
      const cost = divideRounded((tokens + row.perRequest) * row.tiers[tier] * (isBatch ? row.batch : 1000n), FACTORS)
      if (cost > most) most = cost
    }
    return most
  }

  /** Of a unit of provisioned throughput; the name of its row, '' = free. */
  unitPrice(model: string): { readonly name: string; readonly unit: PriceEntry['modelUnit'] } {
    const found = this.find(model)
    return { name: found?.name ?? '', unit: found?.row.modelUnit }
  }

  /** null = free. */
  rowOf(model: string): PriceEntry | null {
    return this.find(model)?.row ?? null
  }

  private find(model: string): { readonly name: string; readonly row: PriceEntry } | null {
    for (const name of [model, this.baseOf(model)]) {
      const row = this.rows.get(name)
      if (row !== undefined) return { name, row }
    }
    const rest = this.rows.get('*')
    return rest === undefined ? null : { name: '*', row: rest }
  }
}

/** Cached and written tokens are parts of the prompt, reasoning is a part of the output. */
export function tokensCost({ input, cachedInput = input, cacheWrite = input, output, reasoning = output }: PriceEntry, usage: Usage): bigint {
  const { promptTokens, cachedTokens, cacheWriteTokens, completionTokens, reasoningTokens } = usage
  return (
    BigInt(promptTokens - cachedTokens - cacheWriteTokens) * input +
    BigInt(cachedTokens) * cachedInput +
    BigInt(cacheWriteTokens) * cacheWrite +
    BigInt(completionTokens - reasoningTokens) * output +
    BigInt(reasoningTokens) * reasoning
  )
}

function largest(...values: readonly bigint[]): bigint {
  return values.reduce((most, value) => (value > most ? value : most), 0n)
}
