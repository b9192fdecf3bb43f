/** Judges shapes: whether a value is in one, and whether anything can be. */
import type { JsonRecord, JsonValue } from '#contract/generate'
import { isEmpty, matchesText } from '../char-algebra-inspect.ts'
import { refuseGrammar } from '../grammar-limits.ts'
import { isMultipleOf } from './decimal.ts'
import { itemLiterals, memberLiterals } from './member-literals.ts'
import { isRecord, own } from './schema-source.ts'
import {
  ARRAY,
  BOOLEAN,
  canonicalText,
  type ContainsRule,
  keyOfLiterals,
  type Literal,
  NULL,
  NUMBER,
  OBJECT,
  type Shape,
  STRING,
  typeOf,
} from './shape.ts'
import type { StringLanguages } from './string-languages.ts'

/** How far a look at required members goes; deeper ones count as possible. */
const MAX_LOOK_DEPTH = 6
/** Values held against shapes, for one schema. */
const MAX_STEPS = 1_000_000
/** Items that a look at an array tries. */
const MAX_LOOK_ITEMS = 16

interface Expander {
  expand(literals: readonly Literal[]): readonly Shape[]
  isOpen(literals: readonly Literal[]): boolean
}

export class ShapeJudge {
  private readonly expander: Expander
  private readonly languages: StringLanguages
  private readonly possible = new Map<string, boolean>()
  private depth = 0
  private stepsLeft = MAX_STEPS

  constructor(expander: Expander, languages: StringLanguages) {
    this.expander = expander
    this.languages = languages
  }

  /** Whether all literals hold the value. Formats that are written narrower than they are count as narrow. */
  holds(value: JsonValue, literals: readonly Literal[], isExact = false): boolean {
    return this.expander.expand(literals).some((shape) => this.isIn(value, shape, isExact))
  }

  isIn(value: JsonValue, shape: Shape, isExact = false): boolean {
    const type = typeOf(value)
    if ((shape.types & type) === 0) return false
    if (shape.values !== null || shape.excluded.size > 0) {
      const key = canonicalText(value)
      this.spend(key.length / 32)
      if (shape.excluded.has(key) || (shape.values !== null && !shape.values.has(key))) return false
    }
    return this.obeysKeywords(value, shape, isExact)
  }

  private obeysKeywords(value: JsonValue, shape: Shape, isExact: boolean): boolean {
    this.spend(1)
    if (typeof value === 'number') return isNumberIn(value, shape.number)
    if (typeof value === 'string') return this.isStringIn(value, shape, isExact)
    if (Array.isArray(value)) return this.isArrayIn(value as readonly JsonValue[], shape, isExact)
    return isRecord(value) ? this.isObjectIn(value, shape, isExact) : true
  }

  /** The values of the shape's list that are in the shape. */
  valuesIn(shape: Shape, isExact = false): readonly JsonValue[] {
    const listed = [...(shape.values ?? [])].filter(([key, value]) => (shape.types & typeOf(value)) !== 0 && !shape.excluded.has(key))
    return listed.filter(([, value]) => this.obeysKeywords(value, shape, isExact)).map(([, value]) => value)
  }

  /** Types of which the shape may hold a value: a type that is left out is surely empty. */
  possibleTypes(shape: Shape, isExact: boolean): number {
    if (shape.types === 0) return 0
    if (shape.values !== null) return this.valuesIn(shape, isExact).reduce((types: number, value) => types | typeOf(value), 0)
    let types = shape.types
    if (shape.excluded.has('null')) types &= ~NULL
    if (shape.excluded.has('true') && shape.excluded.has('false')) types &= ~BOOLEAN
    if ((types & NUMBER) !== 0 && !isNumberPossible(shape.number)) types &= ~NUMBER
    if ((types & STRING) !== 0 && !this.isStringPossible(shape, isExact)) types &= ~STRING
    if ((types & OBJECT) !== 0 && !this.isObjectPossible(shape, isExact)) types &= ~OBJECT
    if ((types & ARRAY) !== 0 && !this.isArrayPossible(shape, isExact)) types &= ~ARRAY
    return types
  }

  /** False: surely no value is in all of the literals. */
  isPossible(literals: readonly Literal[], isExact = false): boolean {
    if (literals.length === 0 || this.depth >= MAX_LOOK_DEPTH || this.expander.isOpen(literals)) return true
    const key = `${isExact} ${keyOfLiterals(literals)}`
    const known = this.possible.get(key)
    if (known !== undefined) return known
    this.depth++
    try {
      const answer = this.expander.expand(literals).some((shape) => this.possibleTypes(shape, isExact) !== 0)
      this.possible.set(key, answer)
      return answer
    } finally {
      this.depth--
    }
  }

  private spend(numSteps: number): void {
    this.stepsLeft -= numSteps
    if (this.stepsLeft < 0) throw refuseGrammar('the schema has too many values under too many alternatives')
  }

  private isStringPossible(shape: Shape, isExact: boolean): boolean {
    const { minLength, maxLength } = shape.string
    if (maxLength !== null && minLength > maxLength) return false
    const texts = this.languages.ofShape(shape, isExact)
    return texts === null || !isEmpty(texts)
  }

  private isObjectPossible(shape: Shape, isExact: boolean): boolean {
    const { object } = shape
    if (object.maxProperties !== null && (object.maxProperties < object.required.length || object.maxProperties < object.minProperties)) return false
    if (object.required.some((name) => object.forbidden.includes(name))) return false
    return object.required.every((name) => this.isPossible(memberLiterals(object, name), isExact))
  }

  private isArrayPossible(shape: Shape, isExact: boolean): boolean {
    const { array } = shape
    if (array.maxItems !== null && array.minItems > array.maxItems) return false
    for (let index = 0; index < Math.min(array.minItems, MAX_LOOK_ITEMS); index++) {
      if (!this.isPossible(itemLiterals(array, index), isExact)) return false
    }
    return true
  }

  private isStringIn(value: string, shape: Shape, isExact: boolean): boolean {
    const { minLength, maxLength, languages, narrowed } = shape.string
    if (minLength > 0 || maxLength !== null) {
      const length = Array.from(value).length
      if (length < minLength || (maxLength !== null && length > maxLength)) return false
    }
    return languages.every((texts) => matchesText(texts, value)) && (isExact || narrowed.every((texts) => matchesText(texts, value)))
  }

  private isObjectIn(value: JsonRecord, shape: Shape, isExact: boolean): boolean {
    const { object } = shape
    const names = Object.keys(value)
    if (names.length < object.minProperties || (object.maxProperties !== null && names.length > object.maxProperties)) return false
    if (object.required.some((name) => !Object.hasOwn(value, name)) || object.forbidden.some((name) => Object.hasOwn(value, name))) return false
    if (object.names.length > 0 && !names.every((name) => this.holds(name, object.names, isExact))) return false
    return names.every((name) => this.holds(own(value, name) ?? null, memberLiterals(object, name), isExact))
  }

  private isArrayIn(value: readonly JsonValue[], shape: Shape, isExact: boolean): boolean {
    const { array } = shape
    if (value.length < array.minItems || (array.maxItems !== null && value.length > array.maxItems)) return false
    if (array.isUnique && new Set(value.map(canonicalText)).size < value.length) return false
    if (!value.every((item, index) => this.holds(item, itemLiterals(array, index), isExact))) return false
    return array.contains.every((rule) => this.containsEnough(value, rule, isExact))
  }

  private containsEnough(value: readonly JsonValue[], rule: ContainsRule, isExact: boolean): boolean {
    const count = value.filter((item) => this.holds(item, [rule.literal], isExact)).length
    return count >= rule.min && (rule.max === null || count <= rule.max)
  }
}

function isNumberIn(value: number, number: Shape['number']): boolean {
  if (value < number.min || value > number.max || (number.isInteger && !Number.isInteger(value))) return false
  return number.multiples.every((divisor) => isMultipleOf(value, divisor))
}

function isNumberPossible(number: Shape['number']): boolean {
  return number.isInteger ? Math.ceil(number.min) <= Math.floor(number.max) : number.min <= number.max
}
