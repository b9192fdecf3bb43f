/** From the traffic of a model, minute by minute, and its prices to what each way of buying it costs in a month. Pure; estimates in floats. */
import type { ProvisionedModel } from '#config/platform-file/provisioned'
import type { PriceEntry } from '#config/platform-file/prices'
import type { BreakEven, BuyingMode, MeasuredTraffic, ModeCost, ModePlan } from '#contract/mode-plan'
import type { Commitment } from '#contract/provisioned'
import type { Usage } from '#contract/generate'
import { tokensCost } from '#platform/metering/price-table'

/** What a model was asked in one minute. */
export interface TrafficMinute {
  /** Since 1970. */
  readonly minute: number
  readonly numRequests: number
  readonly usage: Usage
  readonly billedMs: number
  /** Prompt and output tokens of batches and the tier flex. */
  readonly patientTokens: number
}

export interface ModePrices {
  /** null = the model is free. */
  readonly row: PriceEntry | null
  /** null = no units of it are sold. */
  readonly units: ProvisionedModel | null
}

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const HOURS_PER_MONTH = 730
const PICOS_PER_USD = 1e12
const FEW_REQUESTS = 100
const SHORT_HOURS = 24

/** `minutes`: in order, those with traffic; at least one. `toMs`: until when it was looked at. */
export function compareModes(model: string, minutes: readonly TrafficMinute[], { row, units }: ModePrices, toMs: number): ModePlan {
  const traffic = measure(minutes, toMs)
  const perMonth = (HOURS_PER_MONTH * HOUR_MS) / (traffic.toMs - traffic.fromMs)
  const onDemand = row === null || !hasTokenPrice(row) ? null : sum(minutes, (minute) => onDemandUsd(row, minute)) * perMonth
  const modes = [
    { ...plainCost('on-demand', onDemand), missing: onDemand === null ? `prices.${model}.input` : null },
    batchCost(model, row, onDemand),
    serverlessCost(model, row, (traffic.billedMs / HOUR_MS) * perMonth),
    ...provisionedCosts({ model, minutes, row, units, traffic, perMonth }),
  ].toSorted((a, b) => (a.usdPerMonth ?? Infinity) - (b.usdPerMonth ?? Infinity))
  return {
    model,
    traffic,
    modes,
    cheapest: modes.find(({ mode, usdPerMonth }) => mode !== 'batch' && usdPerMonth !== null) ?? null,
    breakEvens: breakEvens({ traffic, row, units, onDemand, perMonth }),
    doubts: doubtsOf(traffic),
  }
}

function measure(minutes: readonly TrafficMinute[], toMs: number): MeasuredTraffic {
  const fromMs = minutes[0]!.minute * MINUTE_MS
  const tokens = sum(minutes, ({ usage }) => usage.promptTokens + usage.completionTokens)
  return {
    fromMs,
    toMs: Math.max(toMs, fromMs + MINUTE_MS),
    numRequests: sum(minutes, ({ numRequests }) => numRequests),
    inputTokens: sum(minutes, ({ usage }) => usage.promptTokens),
    outputTokens: sum(minutes, ({ usage }) => usage.completionTokens),
    billedMs: sum(minutes, ({ billedMs }) => billedMs),
    peakInputPerMinute: Math.max(...minutes.map(countedInput)),
    peakOutputPerMinute: Math.max(...minutes.map(({ usage }) => usage.completionTokens)),
    patientShare: tokens === 0 ? 0 : sum(minutes, ({ patientTokens }) => patientTokens) / tokens,
  }
}

function plainCost(mode: BuyingMode, usdPerMonth: number | null): ModeCost {
  return { mode, commitment: 'none', usdPerMonth, missing: null, units: null, utilisation: null, spilledShare: null }
}

/** For what may wait: batches run in the tier flex. */
function batchCost(model: string, row: PriceEntry | null, onDemand: number | null): ModeCost {
  if (row === null || onDemand === null) return { ...plainCost('batch', null), missing: `prices.${model}.input` }
  return plainCost('batch', (onDemand * Number(row.batch * row.tiers.flex)) / 1e6)
}

function serverlessCost(model: string, row: PriceEntry | null, hoursPerMonth: number): ModeCost {
  if (row === null || row.perHour === 0n) return { ...plainCost('serverless', null), missing: `prices.${model}.perHour` }
  return plainCost('serverless', hoursPerMonth * dollars(row.perHour))
}

interface ProvisionedNeeds extends ModePrices {
  readonly model: string
  readonly minutes: readonly TrafficMinute[]
  readonly traffic: MeasuredTraffic
  readonly perMonth: number
}

/** With each commitment that has a price, the number of units that costs least. */
function provisionedCosts({ model, minutes, row, units, traffic, perMonth }: ProvisionedNeeds): readonly ModeCost[] {
  const price = row?.modelUnit
  if (units === null || price === undefined) {
    const missing = units === null ? `provisioned.${model}` : `prices.${model}.modelUnit`
    return [{ ...plainCost('provisioned', null), missing }]
  }
  const commitments: readonly (readonly [Commitment, bigint | undefined])[] = [
    ['none', price.perHour],
    ['one-month', price.oneMonth],
    ['six-months', price.sixMonths],
  ]
  const numMinutes = (traffic.toMs - traffic.fromMs) / MINUTE_MS
  return commitments.flatMap(([commitment, perHour]) => {
    if (perHour === undefined) return []
    const costOf = (count: number): ModeCost => {
      const { usd, spilledShare } = spilled(minutes, units, { count, row })
      const unitsUsd = count * dollars(perHour) * HOURS_PER_MONTH
      const utilisation = utilisationOf(traffic, units, count * numMinutes) * (1 - spilledShare)
      return { mode: 'provisioned', commitment, usdPerMonth: unitsUsd + usd * perMonth, missing: null, units: count, utilisation, spilledShare }
    }
    return [cheapestCount(units.maxUnits, costOf)]
  })
}

/** The cost of so many units falls, and then rises: each more saves less than the one before it. */
function cheapestCount(maxUnits: number, costOf: (count: number) => ModeCost): ModeCost {
  let low = 1
  let high = maxUnits
  while (low < high) {
    const middle = (low + high) >>> 1
    if (costOf(middle).usdPerMonth! <= costOf(middle + 1).usdPerMonth!) high = middle
    else low = middle + 1
  }
  return costOf(low)
}

/** What goes beyond the units in a minute is paid on demand. */
function spilled(
  minutes: readonly TrafficMinute[],
  { inputTokensPerMinute, outputTokensPerMinute = Infinity }: ProvisionedModel,
  { count, row }: { readonly count: number; readonly row: PriceEntry | null },
): { readonly usd: number; readonly spilledShare: number } {
  let usd = 0
  let spilledTokens = 0
  let tokens = 0
  for (const minute of minutes) {
    const input = countedInput(minute)
    const output = minute.usage.completionTokens
    const fits = Math.min(1, (count * inputTokensPerMinute) / Math.max(1, input), (count * outputTokensPerMinute) / Math.max(1, output))
    if (row !== null) usd += (1 - fits) * onDemandUsd(row, minute)
    spilledTokens += (1 - fits) * (input + output)
    tokens += input + output
  }
  return { usd, spilledShare: tokens === 0 ? 0 : spilledTokens / tokens }
}

/** Of the scarcer of the two kinds of tokens. */
function utilisationOf(
  { inputTokens, outputTokens }: MeasuredTraffic,
  { inputTokensPerMinute, outputTokensPerMinute = Infinity }: ProvisionedModel,
  unitMinutes: number,
): number {
  return Math.min(1, Math.max(inputTokens / (inputTokensPerMinute * unitMinutes), outputTokens / (outputTokensPerMinute * unitMinutes)))
}

interface BreakEvenNeeds extends ModePrices {
  readonly traffic: MeasuredTraffic
  readonly onDemand: number | null
  readonly perMonth: number
}

function breakEvens({ traffic, row, units, onDemand, perMonth }: BreakEvenNeeds): readonly BreakEven[] {
  if (row === null) return []
  const found: BreakEven[] = []
  const tokensPerMonth = (traffic.inputTokens + traffic.outputTokens) * perMonth
  const unitUsd = units === null || row.modelUnit === undefined ? null : dollars(row.modelUnit.perHour) * HOURS_PER_MONTH
  const serverless = row.perHour === 0n ? null : (traffic.billedMs / HOUR_MS) * perMonth * dollars(row.perHour)
  const perUnit = (mode: BuyingMode, usd: number | null): void => {
    if (unitUsd === null || usd === null || usd === 0) return
    const at = (tokensPerMonth * unitUsd) / usd
    found.push({ cheaperBelow: mode, cheaperAbove: 'provisioned', measure: 'tokens-per-month', at, measured: tokensPerMonth })
  }
  perUnit('on-demand', onDemand)
  perUnit('serverless', serverless)
  if (onDemand !== null && row.perHour > 0n && traffic.numRequests > 0) {
    const usdPerRequest = onDemand / (traffic.numRequests * perMonth)
    found.push({
      cheaperBelow: 'serverless',
      cheaperAbove: 'on-demand',
      measure: 'ms-per-request',
      at: (usdPerRequest / dollars(row.perHour)) * HOUR_MS,
      measured: traffic.billedMs / traffic.numRequests,
    })
  }
  return found
}

function doubtsOf({ fromMs, toMs, numRequests }: MeasuredTraffic): readonly string[] {
  const hours = (toMs - fromMs) / HOUR_MS
  const doubts: string[] = []
  if (numRequests < FEW_REQUESTS) doubts.push(`only ${numRequests} requests were measured`)
  if (hours < SHORT_HOURS) doubts.push(`only ${hours.toFixed(1)} hours were measured: days and nights are not in it`)
  return doubts
}

function hasTokenPrice({ input, output, perRequest }: PriceEntry): boolean {
  return input > 0n || output > 0n || perRequest > 0n
}

function onDemandUsd(row: PriceEntry, { usage, numRequests }: TrafficMinute): number {
  return dollars((tokensCost(row, usage) + BigInt(numRequests) * row.perRequest) * row.tiers.default) / 1000
}

/** What counts against a unit. */
function countedInput({ usage: { promptTokens, cachedTokens } }: TrafficMinute): number {
  return promptTokens - cachedTokens
}

function dollars(picos: bigint): number {
  return Number(picos) / PICOS_PER_USD
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
