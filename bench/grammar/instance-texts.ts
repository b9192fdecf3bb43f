/**
 * The texts in which an instance may stand: compact JSON, numbers as JavaScript writes them and as the suite writes them, keys in the order of
 * the suite, in the order in which the schema names them, and then in every order, up to a bound. A value counts as generated when one of
 * its texts is.
 */
import type { JsonRecord, JsonValue } from '#contract/generate'
import { NumberSpelling, type Spelled } from './suite-checkout.ts'

/** Objects of the suite have at most 6 members: 720 orders. */
const MAX_ORDERS = 1_000

type Numbers = 'as-javascript' | 'as-written'
type Names = (names: readonly string[]) => readonly string[]

export function* textsOf(data: Spelled, schema: JsonValue): Generator<string> {
  const rank = rankOfNames(schema)
  const byRank: Names = (names) => names.toSorted((a, b) => (rank.get(a) ?? rank.size) - (rank.get(b) ?? rank.size))
  const seen = new Set<string>()
  for (const numbers of ['as-javascript', 'as-written'] as const) {
    for (const text of [spell(data, numbers, (names) => names), spell(data, numbers, byRank), ...someOrders(data, numbers)]) {
      if (seen.has(text)) continue
      seen.add(text)
      yield text
    }
  }
}

function someOrders(data: Spelled, numbers: Numbers): Iterable<string> {
  return orders(data, numbers).take(MAX_ORDERS)
}

function spell(value: Spelled, numbers: Numbers, order: Names): string {
  if (value instanceof NumberSpelling) return numbers === 'as-written' ? value.source : JSON.stringify(Number(value.source))
  if (isList(value)) return `[${value.map((item) => spell(item, numbers, order)).join(',')}]`
  if (!isMembers(value)) return JSON.stringify(value)
  return `{${order(Object.keys(value))
    .map((name) => `${JSON.stringify(name)}:${spell(value[name]!, numbers, order)}`)
    .join(',')}}`
}

/** Every order of every object. */
function* orders(value: Spelled, numbers: Numbers): Generator<string> {
  if (isList(value)) {
    for (const items of products(value, numbers)) yield `[${items.join(',')}]`
  } else if (isMembers(value)) {
    for (const names of permutations(Object.keys(value))) {
      for (const members of products(
        names.map((name) => value[name]!),
        numbers,
      )) {
        yield `{${names.map((name, index) => `${JSON.stringify(name)}:${members[index]!}`).join(',')}}`
      }
    }
  } else yield spell(value, numbers, (names) => names)
}

function* products(values: readonly Spelled[], numbers: Numbers): Generator<readonly string[]> {
  if (values.length === 0) return yield []
  for (const first of orders(values[0]!, numbers)) for (const rest of products(values.slice(1), numbers)) yield [first, ...rest]
}

function* permutations(names: readonly string[]): Generator<readonly string[]> {
  if (names.length === 0) return yield []
  for (const [index, name] of names.entries()) for (const rest of permutations(names.toSpliced(index, 1))) yield [name, ...rest]
}

/** Names in the order in which the schema declares them, at whatever depth. */
function rankOfNames(schema: JsonValue): Map<string, number> {
  const rank = new Map<string, number>()
  const visit = (value: JsonValue): void => {
    if (Array.isArray(value)) return (value as readonly JsonValue[]).forEach(visit)
    if (typeof value !== 'object' || value === null) return
    const record = value as JsonRecord
    for (const [keyword, member] of Object.entries(record)) {
      const isMap = keyword === 'properties' && typeof member === 'object' && member !== null && !Array.isArray(member)
      if (isMap) for (const name of Object.keys(member)) if (!rank.has(name)) rank.set(name, rank.size)
      visit(member)
    }
  }
  visit(schema)
  return rank
}

function isList(value: Spelled): value is readonly Spelled[] {
  return Array.isArray(value)
}

function isMembers(value: Spelled): value is { readonly [name: string]: Spelled } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof NumberSpelling)
}
