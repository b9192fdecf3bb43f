/** Provisioned throughput as the store keeps it, and what is due for its hours. Pure. */
import { divideRounded } from '#base/decimal'
import type { PriceEntry } from '#config/platform-file/prices'
import type { Picodollars } from '#contract/call'
import type { Commitment, ProvisionedOrder, ProvisionedThroughput } from '#contract/provisioned'

export type ThroughputDocument = Omit<ProvisionedThroughput, 'id' | 'createdMs' | 'modifiedMs'> & {
  readonly token: string | null
  /** The hours up to here are in the ledger, or were nobody's: epoch milliseconds. */
  readonly billedUntilMs: number
}

export interface ThroughputRow {
  readonly id: string
  readonly document: ThroughputDocument
  readonly revision: number
  readonly createdMs: number
  readonly modifiedMs: number
}

/** A stretch of time to be paid for. */
export interface UnitHours {
  readonly fromMs: number
  readonly toMs: number
  readonly cost: Picodollars
}

const HOUR_MS = 3_600_000
/** When nothing has been written down for so long no server ran, and nothing was provided. */
const GAP_MS = 2 * HOUR_MS
/** From then to then, by the calendar in UTC. */
const MONTHS: Readonly<Record<Commitment, number>> = { none: 0, 'one-month': 1, 'six-months': 6 }

export function documentOf({ token, ...order }: ProvisionedOrder, model: string, nowMs: number): ThroughputDocument {
  return {
    ...order,
    model,
    token,
    commitmentEndsMs: order.commitment === 'none' ? null : addMonths(nowMs, MONTHS[order.commitment]),
    billedUntilMs: nowMs,
  }
}

export function throughputOf({
  id,
  document: { token: _token, billedUntilMs: _until, ...rest },
  createdMs,
  modifiedMs,
}: ThroughputRow): ProvisionedThroughput {
  return { id, ...rest, createdMs, modifiedMs }
}

/** The same order once more, with the same token. */
export function isSameOrder(document: ThroughputDocument, order: ProvisionedOrder, model: string): boolean {
  const { name, units, commitment } = document
  return document.model === model && name === order.name && units === order.units && commitment === order.commitment
}

/**
 * What is due now. `isLast`: up to now, at the end; otherwise whole hours. null = nothing yet. A clock that goes back makes nothing due until it
 * has come as far as before.
 */
export function dueHours(
  { billedUntilMs, units, commitment }: ThroughputDocument,
  price: PriceEntry['modelUnit'],
  { nowMs, isLast }: { readonly nowMs: number; readonly isLast: boolean },
): UnitHours | null {
  const sinceMs = nowMs - billedUntilMs
  if (sinceMs <= 0) return null
  if (sinceMs > GAP_MS) return { fromMs: nowMs, toMs: nowMs, cost: 0n }
  const dueMs = isLast ? sinceMs : sinceMs - (sinceMs % HOUR_MS)
  if (dueMs === 0) return null
  const cost = divideRounded(BigInt(Math.round(dueMs)) * BigInt(units) * hourPrice(price, commitment), BigInt(HOUR_MS))
  return { fromMs: billedUntilMs, toMs: billedUntilMs + dueMs, cost }
}

/** Of one unit. After its end a commitment's price stays what it was. */
function hourPrice(price: PriceEntry['modelUnit'], commitment: Commitment): Picodollars {
  if (price === undefined) return 0n
  const { perHour, oneMonth = perHour, sixMonths = perHour } = price
  return { none: perHour, 'one-month': oneMonth, 'six-months': sixMonths }[commitment]
}

/** The same day of a later month, or its last. */
function addMonths(wallMs: number, months: number): number {
  const start = new Date(wallMs)
  const day = start.getUTCDate()
  const end = new Date(wallMs)
  end.setUTCDate(1)
  end.setUTCMonth(start.getUTCMonth() + months)
  const lastDay = new Date(Date.UTC(end.getUTCFullYear(), end.getUTCMonth() + 1, 0)).getUTCDate()
  end.setUTCDate(Math.min(day, lastDay))
  return end.getTime()
}
