/**
 * One measured figure. `npm run bench -- SUITE --json FILE` has every figure of the suite as a line of JSON in FILE; on the terminal it is a line of
 * words, or part of a table that the suite prints itself.
 */
import { appendFileSync } from 'node:fs'

export interface Figure {
  readonly suite: string
  readonly case: string
  readonly metric: string
  readonly unit: string
}

export interface BenchRecord extends Figure {
  /** Median over the rounds. */
  readonly value: number
  /** Largest over smallest of the rounds. */
  readonly spread: number
  readonly peer?: string
  readonly peerValue?: number
  /** Median of the ratios pair by pair, ours over the peer's. */
  readonly ratio?: number
  /** What the machine could give at most, in the same unit. */
  readonly limit?: number
  /** The value over the limit. */
  readonly shareOfLimit?: number
}

/** Path of the file of records, from bench/main.ts to its suite; not set or '' = none. */
export const RECORDS_VARIABLE = 'INFERD_BENCH_RECORDS'

/** Of the values of all rounds, at least one. */
export function recordOf(figure: Figure, values: readonly number[], limit?: number): BenchRecord {
  const value = median(values)
  const [least, most] = [Math.min(...values), Math.max(...values)]
  return { ...figure, value, spread: least === most ? 1 : most / least, ...(limit === undefined ? {} : { limit, shareOfLimit: value / limit }) }
}

let lastHead = ''

/** Prints it, under a head for each case, and keeps it. */
export function emit(record: BenchRecord): void {
  const head = `${record.suite}: ${record.case}`
  if (head !== lastHead) console.log(head)
  lastHead = head
  console.log(`  ${recordText(record)}`)
  keep(record)
}

/** For suites that print tables of their own. */
export function keep(record: BenchRecord): void {
  const file = process.env[RECORDS_VARIABLE] ?? ''
  if (file !== '') appendFileSync(file, `${recordLine(record)}\n`)
}

/** Every field, null where it has nothing. */
export function recordLine(record: BenchRecord): string {
  const { suite, case: name, metric, unit, value, spread, peer = null, peerValue = null, ratio = null, limit = null, shareOfLimit = null } = record
  return JSON.stringify({ suite, case: name, metric, unit, value, spread, peer, peerValue, ratio, limit, shareOfLimit })
}

/** Without suite and case. */
export function recordText({ metric, unit, value, spread, peer, peerValue, ratio, limit, shareOfLimit }: BenchRecord): string {
  const parts = [
    `${metric}: ${short(value)} ${unit}`.trimEnd(),
    ...(spread === 1 ? [] : [`spread ${short(spread)}`]),
    ...(peer === undefined ? [] : [`${peer} ${short(peerValue ?? NaN)}, ratio ${short(ratio ?? NaN)}`]),
    ...(limit === undefined ? [] : [`${((shareOfLimit ?? NaN) * 100).toFixed(0)} % of ${short(limit)}`]),
  ]
  return parts.join('; ')
}

/** The upper one of the two in the middle. */
function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? NaN
}

/** Four digits, without the exponent that `toPrecision` would give. */
function short(value: number): string {
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)))
}
