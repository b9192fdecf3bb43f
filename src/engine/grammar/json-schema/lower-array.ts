/** Arrays to grammar: tuples, lists, counts, and `contains`. */
import { choice, EMPTY_TEXT, type Expr, NOTHING, optional, repeat, sequence, text } from '../grammar.ts'
import { refuseGrammar } from '../grammar-limits.ts'
import type { SchemaLowering } from './lower-json-schema.ts'
import { itemLiterals } from './member-literals.ts'
import { placeOf } from './schema-source.ts'
import type { ArrayShape, ContainsRule, Literal, Shape } from './shape.ts'

/** Items times items that match, where both are counted. */
const MAX_CONTAINS_STATES = 1_024

/** NOTHING when no array satisfies the shape. */
export function lowerArray(lowering: SchemaLowering, shape: Shape): Expr {
  const { json } = lowering
  const { array } = shape
  const max = longest(lowering, array)
  if (max !== null && max < array.minItems) return NOTHING
  if (array.isUnique && (max === null || max > 1)) {
    lowering.enforcement.leaveOut('`uniqueItems` is not enforced by this server', placeOf(`${shape.pointer}/uniqueItems`))
  }
  const rules = array.contains.filter((rule) => rule.min > 0 || rule.max !== null)
  const plain = (): Expr => plainItems(lowering, array, max)
  const list = rules.length === 0 ? plain() : (lowering.enforcement.attempt(() => containing(lowering, { shape, rules, max }), null) ?? plain())
  return sequence(text('['), json.space, list, text(']'))
}

/** Most items that the schemas of the items leave room for; null = no end. */
function longest(lowering: SchemaLowering, array: ArrayShape): number | null {
  const { judge } = lowering.expander
  const numPrefix = prefixLength(array)
  for (let index = 0; index <= numPrefix; index++) {
    if (array.maxItems === index || !judge.isPossible(itemLiterals(array, index))) return index
  }
  return array.maxItems
}

function prefixLength(array: ArrayShape): number {
  return Math.max(0, ...array.rules.map((rule) => rule.prefix.length))
}

function plainItems(lowering: SchemaLowering, array: ArrayShape, max: number | null): Expr {
  const { json } = lowering
  const numPrefix = Math.min(prefixLength(array), max ?? Infinity)
  const min = array.minItems
  if (max === 0) return EMPTY_TEXT
  if (numPrefix === 0) {
    const item = lowering.exprOf(itemLiterals(array, 0))
    const some = sequence(item, repeat(sequence(json.comma, item), Math.max(0, min - 1), max === null ? null : max - 1), json.space)
    return min === 0 ? optional(some) : some
  }
  let tail: Expr = json.space
  if (max === null || max > numPrefix) {
    const rest = sequence(json.comma, lowering.exprOf(itemLiterals(array, numPrefix)))
    tail = sequence(repeat(rest, Math.max(0, min - numPrefix), max === null ? null : max - numPrefix), json.space)
  }
  for (let index = numPrefix - 1; index >= 0; index--) {
    const item = lowering.exprOf(itemLiterals(array, index))
    const going = sequence(index === 0 ? EMPTY_TEXT : json.comma, item, tail)
    const end = index === 0 ? EMPTY_TEXT : json.space
    tail = index < min ? going : choice(end, going)
  }
  return tail
}

interface Containing {
  readonly shape: Shape
  readonly rules: readonly ContainsRule[]
  readonly max: number | null
}

/** With an upper count an item is either a match or none; without one, matches may also pass as any item. */
function containing(lowering: SchemaLowering, { shape, rules, max }: Containing): Expr {
  const { json } = lowering
  const { array, pointer } = shape
  const rule = rules[0]!
  if (rules.length > 1) throw refuseGrammar('more than one `contains` for one array is not enforced', placeOf(pointer))
  if (prefixLength(array) > 0) throw refuseGrammar('`contains` is not enforced beside items that differ by position', placeOf(`${pointer}/contains`))
  const literals = itemLiterals(array, 0)
  const isMatchPossible = lowering.expander.judge.isPossible([...literals, rule.literal])
  if (!isMatchPossible && rule.min > 0) return NOTHING
  const match = isMatchPossible ? lowering.exprOf([...literals, rule.literal]) : NOTHING
  const other = otherItem(lowering, literals, rule)
  const bound = max ?? array.minItems
  const cap = rule.max ?? rule.min
  if ((bound + 1) * (cap + 1) > MAX_CONTAINS_STATES) {
    throw refuseGrammar('`contains` beside this many items is not enforced', placeOf(`${pointer}/contains`))
  }
  const comma = (numItems: number): Expr => (numItems === 0 ? EMPTY_TEXT : json.comma)
  const end = (numItems: number): Expr => (numItems === 0 ? EMPTY_TEXT : json.space)
  // By the number of matches so far, for the number of items so far; the last one is for all that come behind it.
  let after = Array.from({ length: cap + 1 }, (_, numMatches): Expr => {
    if (max !== null) return numMatches >= rule.min ? end(bound) : NOTHING
    return endless({ match, other, numMatches, rule, numItems: bound, comma: json.comma, space: json.space })
  })
  for (let numItems = bound - 1; numItems >= 0; numItems--) {
    const next = after
    after = next.map((withoutMatch, numMatches) => {
      const items: Expr[] = [sequence(comma(numItems), other, withoutMatch)]
      const withMatch = numMatches < cap ? next[numMatches + 1]! : NOTHING
      if (numMatches < cap) items.push(sequence(comma(numItems), match, withMatch))
      if (numItems >= array.minItems && numMatches >= rule.min) items.push(end(numItems))
      return json.builder.add(`items-${pointer}`, choice(...items))
    })
  }
  return after[0]!
}

function otherItem(lowering: SchemaLowering, literals: readonly Literal[], rule: ContainsRule): Expr {
  if (rule.max === null) return lowering.exprOf(literals)
  return lowering.exprOf([...literals, { node: rule.literal.node, negated: !rule.literal.negated }])
}

interface Endless {
  readonly match: Expr
  readonly other: Expr
  readonly numMatches: number
  readonly rule: ContainsRule
  readonly numItems: number
  readonly comma: Expr
  readonly space: Expr
}

/** Any number of further items, until the matches suffice. */
function endless({ match, other, numMatches, rule, numItems, comma, space }: Endless): Expr {
  const missing = Math.max(0, rule.min - numMatches)
  const room = rule.max === null ? missing : rule.max - numMatches
  const others = repeat(sequence(comma, other), 0, null)
  if (numItems > 0) return sequence(repeat(sequence(others, comma, match), missing, room), others, space)
  const further = repeat(sequence(others, comma, match), Math.max(0, missing - 1), rule.max === null ? null : Math.max(0, room - 1))
  const firstMatch = sequence(repeat(sequence(other, comma), 0, null), match, further, others, space)
  const noMatch = optional(sequence(other, others, space))
  if (room === 0 && missing === 0) return noMatch
  return missing > 0 ? firstMatch : choice(noMatch, firstMatch)
}
