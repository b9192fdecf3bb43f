/**
 * What a schema comes to: a union of shapes. A shape is a conjunction of constraints, by type of the value; schemas of members stay
 * literals (a schema of the document, or its negation) until they are lowered, so that recursion costs nothing here.
 */
import type { JsonValue } from '#contract/generate'
import type { CharAutomaton } from '../char-automaton.ts'
import { isRecord, type SchemaNode } from './schema-source.ts'

export const NULL = 1
export const BOOLEAN = 2
export const NUMBER = 4
export const STRING = 8
export const OBJECT = 16
export const ARRAY = 32
const EVERY_TYPE = 63

export interface Literal {
  readonly node: SchemaNode
  readonly negated: boolean
}

export interface NumberShape {
  readonly isInteger: boolean
  /** Both inclusive: an exclusive bound is the next double. -Infinity and Infinity = none. */
  readonly min: number
  readonly max: number
  readonly multiples: readonly number[]
}

export interface StringShape {
  /** In code points; max null = none. */
  readonly minLength: number
  readonly maxLength: number | null
  /** All must hold the text. */
  readonly languages: readonly CharAutomaton[]
  /** Likewise, but narrower than what the schema says (some formats): good to write with, not to conclude from. */
  readonly narrowed: readonly CharAutomaton[]
}

/** The keywords of one object schema that look at each other. */
export interface ObjectRule {
  readonly properties: ReadonlyMap<string, Literal>
  readonly patterns: readonly { readonly language: CharAutomaton; readonly literal: Literal }[]
  /** null = absent. */
  readonly additional: Literal | null
}

export interface ObjectShape {
  readonly rules: readonly ObjectRule[]
  /** Unique. */
  readonly required: readonly string[]
  readonly forbidden: readonly string[]
  readonly names: readonly Literal[]
  readonly minProperties: number
  readonly maxProperties: number | null
}

export interface ArrayRule {
  readonly prefix: readonly Literal[]
  /** For all further items; null = anything. */
  readonly rest: Literal | null
}

export interface ContainsRule {
  readonly literal: Literal
  readonly min: number
  readonly max: number | null
}

export interface ArrayShape {
  readonly rules: readonly ArrayRule[]
  readonly contains: readonly ContainsRule[]
  readonly minItems: number
  readonly maxItems: number | null
  readonly isUnique: boolean
}

export interface Shape {
  /** Bits of the types above. */
  readonly types: number
  /** By canonicalText; null = not restricted to values. */
  readonly values: ReadonlyMap<string, JsonValue> | null
  readonly excluded: ReadonlyMap<string, JsonValue>
  readonly number: NumberShape
  readonly string: StringShape
  readonly object: ObjectShape
  readonly array: ArrayShape
  /** The schema that said most of it, for refusals. */
  readonly pointer: string
}

export const ANY_SHAPE: Shape = {
  types: EVERY_TYPE,
  values: null,
  excluded: new Map(),
  number: { isInteger: false, min: -Infinity, max: Infinity, multiples: [] },
  string: { minLength: 0, maxLength: null, languages: [], narrowed: [] },
  object: { rules: [], required: [], forbidden: [], names: [], minProperties: 0, maxProperties: null },
  array: { rules: [], contains: [], minItems: 0, maxItems: null, isUnique: false },
  pointer: '',
}

/** The values that are in both. */
export function mergeShapes(a: Shape, b: Shape): Shape {
  if (a === ANY_SHAPE) return b
  if (b === ANY_SHAPE) return a
  return {
    types: a.types & b.types,
    values: mergeValues(a.values, b.values),
    excluded: b.excluded.size === 0 ? a.excluded : new Map([...a.excluded, ...b.excluded]),
    number: {
      isInteger: a.number.isInteger || b.number.isInteger,
      min: Math.max(a.number.min, b.number.min),
      max: Math.min(a.number.max, b.number.max),
      multiples: union(a.number.multiples, b.number.multiples),
    },
    string: {
      minLength: Math.max(a.string.minLength, b.string.minLength),
      maxLength: lower(a.string.maxLength, b.string.maxLength),
      languages: union(a.string.languages, b.string.languages),
      narrowed: union(a.string.narrowed, b.string.narrowed),
    },
    object: {
      rules: union(a.object.rules, b.object.rules),
      required: union(a.object.required, b.object.required),
      forbidden: union(a.object.forbidden, b.object.forbidden),
      names: union(a.object.names, b.object.names),
      minProperties: Math.max(a.object.minProperties, b.object.minProperties),
      maxProperties: lower(a.object.maxProperties, b.object.maxProperties),
    },
    array: {
      rules: union(a.array.rules, b.array.rules),
      contains: union(a.array.contains, b.array.contains),
      minItems: Math.max(a.array.minItems, b.array.minItems),
      maxItems: lower(a.array.maxItems, b.array.maxItems),
      isUnique: a.array.isUnique || b.array.isUnique,
    },
    pointer: a.pointer === '' ? b.pointer : a.pointer,
  }
}

/** Equal sets of literals have equal keys. */
export function keyOfLiterals(literals: readonly Literal[]): string {
  return literals.length === 1 ? keyOf(literals[0]!) : [...new Set(literals.map(keyOf))].toSorted().join('&')
}

export function keyOf(literal: Literal): string {
  return literal.negated ? `!${literal.node.id}` : `${literal.node.id}`
}

/** Equal texts mean equal values of JSON Schema: 1 and 1.0 are one, and so are objects whose keys are in another order. */
export function canonicalText(value: JsonValue): string {
  if (Array.isArray(value)) return `[${(value as readonly JsonValue[]).map(canonicalText).join(',')}]`
  if (!isRecord(value)) return JSON.stringify(value)
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${canonicalText(member)}`)
  return `{${members.toSorted().join(',')}}`
}

export function isFreeObject({ object }: Shape): boolean {
  const { rules, required, forbidden, names, minProperties, maxProperties } = object
  return rules.length + required.length + forbidden.length + names.length === 0 && minProperties === 0 && maxProperties === null
}

export function isFreeArray({ array }: Shape): boolean {
  return array.rules.length + array.contains.length === 0 && array.minItems === 0 && array.maxItems === null && !array.isUnique
}

/** No keyword of numbers, strings, objects or arrays constrains it. */
export function isFree(shape: Shape): boolean {
  const { number, string } = shape
  const isAnyNumber = !number.isInteger && number.min === -Infinity && number.max === Infinity && number.multiples.length === 0
  const isAnyString = string.minLength === 0 && string.maxLength === null && string.languages.length + string.narrowed.length === 0
  return isAnyNumber && isAnyString && isFreeObject(shape) && isFreeArray(shape)
}

export function typeOf(value: JsonValue): number {
  if (value === null) return NULL
  if (typeof value === 'boolean') return BOOLEAN
  if (typeof value === 'number') return NUMBER
  if (typeof value === 'string') return STRING
  return Array.isArray(value) ? ARRAY : OBJECT
}

/** The next double above; below with -1. */
export function nextDouble(value: number, direction: 1 | -1): number {
  if (!Number.isFinite(value)) return value
  if (value === 0) return direction * Number.MIN_VALUE
  const bits = new BigInt64Array(1)
  const double = new Float64Array(bits.buffer)
  double[0] = value
  bits[0]! += BigInt(value > 0 ? direction : -direction)
  return double[0]
}

function union<Item>(a: readonly Item[], b: readonly Item[]): readonly Item[] {
  if (b.length === 0) return a
  return a.length === 0 ? b : [...new Set([...a, ...b])]
}

function lower(a: number | null, b: number | null): number | null {
  if (a === null) return b
  return b === null ? a : Math.min(a, b)
}

function mergeValues(a: Shape['values'], b: Shape['values']): Shape['values'] {
  if (a === null) return b
  return b === null ? a : new Map([...a].filter(([key]) => b.has(key)))
}
