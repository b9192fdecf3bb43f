/**
 * Which characters of a template's strings were written by the caller. Ranges ride along with runtime values while a template trims,
 * joins and prints them, so that the tokenizer can later refuse special tokens there. Where a string's way cannot be followed
 * character by character, all of it counts as the caller's.
 */
import { entriesOf, itemsOf, type JinjaValue, textOf } from './jinja-values.ts'
import type { TemplateBudget } from './template-budget.ts'

/** Flat, ascending, disjoint [start, end) pairs in UTF-16 units. */
export type Ranges = readonly number[]

const NO_RANGES: Ranges = []

export class Provenance {
  private readonly rangesByValue = new Map<JinjaValue, Ranges>()
  /** Objects with keys that the caller wrote. */
  private readonly callerKeyed = new Set<JinjaValue>()
  private readonly budget: TemplateBudget

  constructor(budget: TemplateBudget) {
    this.budget = budget
  }

  rangesOf(value: JinjaValue): Ranges {
    return this.rangesByValue.get(value) ?? NO_RANGES
  }

  /** Returns the value, with its ranges noted. */
  mark(value: JinjaValue, ranges: Ranges): JinjaValue {
    if (ranges.length > 0) this.rangesByValue.set(value, ranges)
    return value
  }

  /** The value and everything inside it is the caller's, the keys of objects too. */
  markAll(value: JinjaValue): void {
    const text = textOf(value)
    if (text !== null) this.mark(value, wholeRange(text.length))
    if (entriesOf(value) !== null) this.callerKeyed.add(value)
    for (const item of itemsOf(value) ?? entriesOf(value)?.values() ?? []) this.markAll(item)
  }

  /** An object of the template with keys of the caller. */
  markKeys(value: JinjaValue): void {
    this.callerKeyed.add(value)
  }

  hasCallerKeys(value: JinjaValue): boolean {
    return this.callerKeyed.has(value)
  }

  /** True when the value, or anything inside it, holds the caller's text. */
  holdsCallerText(value: JinjaValue | undefined): boolean {
    if (value === undefined) return false
    if (this.rangesByValue.has(value) || this.callerKeyed.has(value)) return true
    const inner = itemsOf(value) ?? entriesOf(value)?.values()
    if (inner === undefined) return false
    for (const item of inner) {
      this.budget.charge(1)
      if (this.holdsCallerText(item)) return true
    }
    return false
  }

  /** For an operation that makes new text from `sources` in a way that is not followed: its strings become the caller's. */
  taintResult(result: JinjaValue, sources: readonly JinjaValue[]): void {
    const text = textOf(result)
    const items = itemsOf(result)
    if (text === null && items === null) {
      if (entriesOf(result) !== null && sources.some((source) => this.holdsCallerText(source))) this.markKeys(result)
      return
    }
    if (sources.includes(result) || this.rangesByValue.has(result)) return
    if (text !== null) {
      if (sources.some((source) => this.holdsCallerText(source))) this.mark(result, wholeRange(text.length))
      return
    }
    // Items of a container keep their identity; only strings are taken apart into new ones, and keys become strings.
    if (sources.some((source) => textOf(source) !== null && this.rangesByValue.has(source))) this.markAll(result)
    if (sources.some((source) => this.callerKeyed.has(source))) this.markKeyStrings(items ?? [])
  }

  /** A list of keys, or of pairs that begin with one. */
  private markKeyStrings(items: readonly JinjaValue[]): void {
    this.budget.charge(items.length)
    for (const item of items) {
      const key = itemsOf(item)?.[0] ?? item
      const text = textOf(key)
      if (text !== null) this.mark(key, wholeRange(text.length))
    }
  }
}

function wholeRange(length: number): Ranges {
  return length === 0 ? NO_RANGES : [0, length]
}

/** Appends `added`, shifted, to `ranges`, joining what touches. */
export function appendRanges(ranges: number[], added: Ranges, offset: number): void {
  for (let index = 0; index < added.length; index += 2) {
    const start = added[index]! + offset
    const end = added[index + 1]! + offset
    if (ranges.length > 0 && ranges[ranges.length - 1] === start) ranges[ranges.length - 1] = end
    else ranges.push(start, end)
  }
}

/** The ranges of text.slice(start, end). */
export function sliceRanges(ranges: Ranges, start: number, end: number): Ranges {
  const kept: number[] = []
  for (let index = 0; index < ranges.length; index += 2) {
    const from = Math.max(ranges[index]!, start)
    const to = Math.min(ranges[index + 1]!, end)
    if (to > from) kept.push(from - start, to - start)
  }
  return kept
}
