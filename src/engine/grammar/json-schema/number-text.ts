/**
 * The decimal texts of a range of numbers, without exponent. A text is in the range when its exact decimal value is; rounding to doubles is
 * monotonic, so every reader of JSON agrees. No leading zeros, no plus sign, no negative zero.
 */
import { concatenate, intersect, subtract, unite } from '../char-algebra.ts'
import type { CharBudget } from '../char-algebra-budget.ts'
import { NO_TEXT, renumber } from '../char-algebra-minimize.ts'
import { fromTexts } from '../char-algebra-texts.ts'
import type { CharAutomaton, CharEdge } from '../char-automaton.ts'
import { choice, type Expr, sequence, text } from '../grammar.ts'
import { refuseGrammar } from '../grammar-limits.ts'
import { inUnits, toDecimal } from './decimal.ts'
import type { Enforcement } from './enforcement.ts'
import { placeOf } from './schema-source.ts'
import type { NumberShape } from './shape.ts'

/** Digits before the point. */
const MAX_INTEGER_DIGITS = 20
/** Digits after the point. */
const MAX_FRACTION_DIGITS = 20
/** With multipleOf: doubles hold every such number, so that readers agree about the remainder. */
const MAX_DIGITS_OF_MULTIPLES = 15
/** Remainders of one multipleOf. */
const MAX_REMAINDERS = 2_000

const MINUS = 45
const POINT = 46
const ZERO = 48

interface NumberContext {
  readonly pointer: string
  readonly budget: CharBudget
  readonly enforcement: Enforcement
}

/** All texts of the numbers in `shape`, but for `excluded`. May match nothing. */
export function numberExpr(shape: NumberShape, excluded: readonly number[], where: NumberContext): Expr {
  const { budget, pointer, enforcement } = where
  const { places, digits } = sizeOf(shape)
  const end = 10n ** BigInt(digits + places) - 1n
  const min = shape.min === -Infinity ? -end : greater(-end, inUnits(shape.min, places, true))
  const max = shape.max === Infinity ? end : lesser(end, inUnits(shape.max, places, false))
  const range = signedBetween(min, max, places)
  if (shape.multiples.length === 0 && excluded.length === 0) {
    const negative = sequence(text('-'), choice(...range.negative.map(regular)))
    return choice(...(range.negative.length === 0 ? [] : [negative]), ...range.positive.map(regular))
  }
  let texts = unitedTexts(range, budget)
  for (const divisor of shape.multiples) {
    const multiples = enforcement.attempt(() => multiplesOf(divisor, pointer), null)
    if (multiples !== null) texts = intersect(texts, multiples, budget)
  }
  for (const value of excluded) {
    const same = signedBetween(inUnits(value, places, true), inUnits(value, places, false), places)
    texts = subtract(texts, unitedTexts(same, budget), budget)
  }
  return regular(texts)
}

function regular(automaton: CharAutomaton): Expr {
  return { kind: 'regular', automaton }
}

function sizeOf(shape: NumberShape): { readonly places: number; readonly digits: number } {
  if (shape.multiples.length === 0) return { places: shape.isInteger ? 0 : MAX_FRACTION_DIGITS, digits: MAX_INTEGER_DIGITS }
  const finest = Math.max(0, ...shape.multiples.map((divisor) => -toDecimal(divisor).exponent))
  const places = shape.isInteger ? 0 : Math.min(finest, MAX_DIGITS_OF_MULTIPLES - 1)
  return { places, digits: MAX_DIGITS_OF_MULTIPLES - places }
}

function greater(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function lesser(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

interface SignedTexts {
  /** Texts behind the minus sign. */
  readonly negative: readonly CharAutomaton[]
  readonly positive: readonly CharAutomaton[]
}

/** In units of 10^-places. */
function signedBetween(min: bigint, max: bigint, places: number): SignedTexts {
  return {
    negative: min < 0n ? magnitudesBetween(max < 0n ? -max : 1n, -min, places) : [],
    positive: magnitudesBetween(greater(min, 0n), max, places),
  }
}

function unitedTexts({ negative, positive }: SignedTexts, budget: CharBudget): CharAutomaton {
  const minus = negative.length === 0 ? NO_TEXT : concatenate([fromTexts(['-'], budget), unite(negative, budget)], budget)
  return unite([minus, ...positive], budget)
}

/** By the number of digits before the point; numbers of digits that the range holds wholly are one part. 0 <= min. */
function magnitudesBetween(min: bigint, max: bigint, places: number): CharAutomaton[] {
  const parts: CharAutomaton[] = []
  if (min > max) return parts
  const unit = 10n ** BigInt(places)
  const [shortest, longest] = [String(min / unit).length, String(max / unit).length]
  const whole: number[] = []
  for (let length = shortest; length <= longest; length++) {
    const least = length === 1 ? 0n : 10n ** BigInt(length - 1) * unit
    const most = 10n ** BigInt(length) * unit - 1n
    if (length > 1 && min <= least && most <= max) {
      whole.push(length)
      continue
    }
    const low = String(greater(min, least)).padStart(length + places, '0')
    const high = String(lesser(max, most)).padStart(length + places, '0')
    if (low <= high) parts.push(digitsBetween(low, high, length))
  }
  if (whole.length > 0) parts.push(digitsOfLengths(whole[0]!, whole.at(-1)!, places))
  return parts
}

/** Every number with this many digits before the point, at least 2. */
function digitsOfLengths(shortest: number, longest: number, places: number): CharAutomaton {
  const firstFraction = longest + 1
  const numStates = places === 0 ? firstFraction : firstFraction + places + 1
  const edges = Array.from({ length: numStates }, (_, state): CharEdge[] => {
    if (state === 0) return [{ first: ZERO + 1, last: ZERO + 9, target: 1 }]
    const point: CharEdge[] = places > 0 && state >= shortest && state <= longest ? [{ first: POINT, last: POINT, target: firstFraction }] : []
    if (state === longest || state === numStates - 1) return point
    return [...point, { first: ZERO, last: ZERO + 9, target: state + 1 }]
  })
  return { edges, accepting: edges.map((_, state) => (state >= shortest && state <= longest) || state > firstFraction) }
}

/** States while `low` and `high` still bind. The digits of both are as many, `length` of them before the point. */
function digitsBetween(low: string, high: string, length: number): CharAutomaton {
  const edges: CharEdge[][] = []
  const accepting: boolean[] = []
  const known = new Map<string, number>()
  // After `length` digits comes an optional point; positions after it are one further.
  const visit = (position: number, bindsLow: boolean, bindsHigh: boolean): number => {
    const key = `${position},${bindsLow},${bindsHigh}`
    const old = known.get(key)
    if (old !== undefined) return old
    const state = edges.length
    known.set(key, state)
    edges.push([])
    accepting.push(false)
    const isPoint = position === length
    const numRead = position > length ? position - 1 : position
    // Digits that are left out are zeros.
    const reachesLow = !bindsLow || /^0*$/.test(low.slice(numRead))
    accepting[state] = position >= length && position !== length + 1 && reachesLow
    if (isPoint) {
      if (low.length > length) edges[state]!.push({ first: POINT, last: POINT, target: visit(position + 1, bindsLow, bindsHigh) })
      return state
    }
    if (numRead === low.length) return state
    const from = bindsLow ? Number(low[numRead]) : 0
    const to = bindsHigh ? Number(high[numRead]) : 9
    for (let digit = from; digit <= to; digit++) {
      const target = visit(position + 1, bindsLow && digit === from, bindsHigh && digit === to)
      edges[state]!.push({ first: ZERO + digit, last: ZERO + digit, target })
    }
    return state
  }
  visit(0, true, true)
  return trimmed({ edges, accepting })
}

/** States that reach no end fall out. The automaton has no cycle. */
function trimmed(automaton: CharAutomaton): CharAutomaton {
  const useful = new Map<number, boolean>()
  const isUseful = (state: number): boolean => {
    let answer = useful.get(state)
    if (answer === undefined) {
      answer = automaton.accepting[state]! || automaton.edges[state]!.some((edge) => isUseful(edge.target))
      useful.set(state, answer)
    }
    return answer
  }
  if (!isUseful(0)) return NO_TEXT
  return renumber({ edges: automaton.edges.map((edges) => edges.filter((edge) => isUseful(edge.target))), accepting: automaton.accepting }, 0)
}

/** Texts of decimals, of any length and with leading zeros, that are multiples of the divisor. */
function multiplesOf(divisor: number, pointer: string): CharAutomaton {
  const { coefficient, exponent } = toDecimal(divisor)
  const places = Math.max(0, -exponent)
  const modulus = exponent > 0 ? coefficient * 10n ** BigInt(Math.min(exponent, 10)) : coefficient
  if (modulus * BigInt(places + 1) > BigInt(MAX_REMAINDERS)) {
    throw refuseGrammar(`\`multipleOf\` ${divisor} is not enforced by this server: too many remainders`, placeOf(`${pointer}/multipleOf`))
  }
  const size = Number(modulus)
  // States: 0 start, 1 after the sign, 2 zeros to the end, then whole numbers and digits after the point, each by remainder.
  const whole = (remainder: number): number => 3 + (remainder % size)
  const fraction = (numPlaces: number, remainder: number): number => 3 + (numPlaces + 1) * size + (remainder % size)
  const edges: CharEdge[][] = Array.from({ length: 3 + (places + 2) * size }, () => [])
  const accepting = edges.map(() => false)
  const digits = (state: number, targetOf: (digit: number) => number): void => {
    for (let digit = 0; digit <= 9; digit++) edges[state]!.push({ first: ZERO + digit, last: ZERO + digit, target: targetOf(digit) })
  }
  const isMultiple = (remainder: number, missingPlaces: number): boolean => (BigInt(remainder) * 10n ** BigInt(missingPlaces)) % modulus === 0n
  edges[0]!.push({ first: MINUS, last: MINUS, target: 1 })
  digits(0, whole)
  digits(1, whole)
  edges[2]!.push({ first: ZERO, last: ZERO, target: 2 })
  accepting[2] = true
  for (let remainder = 0; remainder < size; remainder++) {
    edges[whole(remainder)]!.push({ first: POINT, last: POINT, target: fraction(0, remainder) })
    digits(whole(remainder), (digit) => whole(remainder * 10 + digit))
    accepting[whole(remainder)] = isMultiple(remainder, places)
    for (let numPlaces = 0; numPlaces < places; numPlaces++) {
      digits(fraction(numPlaces, remainder), (digit) => fraction(numPlaces + 1, remainder * 10 + digit))
      accepting[fraction(numPlaces, remainder)] = numPlaces > 0 && isMultiple(remainder, places - numPlaces)
    }
  }
  edges[fraction(places, 0)]!.push({ first: ZERO, last: ZERO, target: 2 })
  accepting[fraction(places, 0)] = places > 0
  return { edges, accepting }
}
