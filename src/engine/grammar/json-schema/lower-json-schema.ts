/**
 * JSON Schema to grammar. The language is narrower than the schema where the documentation says so (order of keys, spelling of numbers) and
 * never wider; what cannot be enforced is refused by name.
 */
import type { JsonValue, JsonWhitespace } from '#contract/generate'
import { choice, type Expr, NOTHING, type RuleId, sequence, text } from '../grammar.ts'
import type { GrammarBuilder } from '../grammar-builder.ts'
import { type GrammarLimits, refuseGrammar } from '../grammar-limits.ts'
import { textsExpr } from '../texts-expr.ts'
import { Enforcement } from './enforcement.ts'
import { SchemaExpander } from './expand-schema.ts'
import { JsonText, spelledTexts } from './json-text.ts'
import { lowerArray } from './lower-array.ts'
import { lowerObject } from './lower-object.ts'
import { numberExpr } from './number-text.ts'
import { isRecord, placeOf, SchemaDocument } from './schema-source.ts'
import {
  ANY_SHAPE,
  ARRAY,
  BOOLEAN,
  isFree,
  isFreeArray,
  isFreeObject,
  keyOfLiterals,
  type Literal,
  NULL,
  NUMBER,
  OBJECT,
  type Shape,
  STRING,
} from './shape.ts'
import { positive } from './shape-of-keywords.ts'

export interface JsonSchemaOptions {
  readonly whitespace: JsonWhitespace
  readonly limits: GrammarLimits
  /** An object that declares properties and says nothing of others has no others. */
  readonly closedObjects: boolean
  /** What happens to constraints that cannot be enforced: the schema is refused by name, or they are left out. Limits always refuse. */
  readonly unenforced: 'refuse' | 'widen'
}

/** Lists of values beyond this many characters become a rule of their own. */
const MAX_INLINE_VALUE_CHARS = 64

/** The JSON texts of the values that the schema holds. Throws InferdError that names the keyword and its place. */
export function lowerJsonSchema(builder: GrammarBuilder, schema: JsonValue, options: JsonSchemaOptions): Expr {
  const document = new SchemaDocument(schema, options.limits, new Enforcement(options.unenforced))
  return new SchemaLowering(builder, document, options).lower()
}

/** Any JSON object. */
export function lowerJsonObject(builder: GrammarBuilder, whitespace: JsonWhitespace): Expr {
  return new JsonText(builder, whitespace).object
}

/** Any JSON value. */
export function lowerJsonValue(builder: GrammarBuilder, whitespace: JsonWhitespace): Expr {
  return new JsonText(builder, whitespace).value
}

export class SchemaLowering {
  readonly json: JsonText
  readonly expander: SchemaExpander
  readonly options: JsonSchemaOptions
  readonly enforcement: Enforcement
  private readonly document: SchemaDocument
  private readonly builder: GrammarBuilder
  private readonly known = new Map<string, Expr>()
  /** Schemas that only refer to one another share their shapes, and so their rule. */
  private readonly ofShapes = new Map<readonly Shape[], Expr>()
  /** Rules whose bodies are to be written. */
  private readonly open: { readonly id: RuleId; readonly shapes: readonly Shape[] }[] = []

  constructor(builder: GrammarBuilder, document: SchemaDocument, options: JsonSchemaOptions) {
    this.builder = builder
    this.document = document
    this.options = options
    this.json = new JsonText(builder, options.whitespace)
    this.enforcement = new Enforcement(options.unenforced)
    this.expander = new SchemaExpander(document, options.limits, this.enforcement)
  }

  lower(): Expr {
    const root = [positive(this.document.root)]
    if (!this.expander.judge.isPossible(root)) throw refuseGrammar('no value satisfies the schema')
    const expr = this.exprOf(root)
    for (let rule = this.open.pop(); rule !== undefined; rule = this.open.pop()) {
      this.builder.define(rule.id, choice(...rule.shapes.map((shape) => this.lowerShape(shape))))
    }
    return expr
  }

  /** The texts of the values that all literals hold. Members are lowered later, so that this does not recurse. */
  exprOf(literals: readonly Literal[]): Expr {
    const key = keyOfLiterals(literals)
    const known = this.known.get(key)
    if (known !== undefined) return known
    const shapes = this.expander.expand(literals)
    let expr = this.ofShapes.get(shapes)
    if (expr !== undefined) {
      this.known.set(key, expr)
      return expr
    }
    if (shapes.every(isLeaf)) {
      expr = choice(...shapes.map((shape) => this.lowerShape(shape)))
    } else {
      const id = this.builder.declare(`value-${literals[0]!.node.pointer}`)
      this.open.push({ id, shapes })
      expr = { kind: 'rule', id }
    }
    this.known.set(key, expr)
    this.ofShapes.set(shapes, expr)
    return expr
  }

  private lowerShape(shape: Shape): Expr {
    if (shape.values !== null) return this.lowerValues(shape)
    const types = this.expander.judge.possibleTypes(shape, false)
    if (types === ANY_SHAPE.types && isFree(shape) && shape.excluded.size === 0) return this.json.value
    this.refuseExcluded(shape, types)
    const items: Expr[] = []
    if ((types & NULL) !== 0) items.push(text('null'))
    if ((types & BOOLEAN) !== 0) items.push(...['true', 'false'].filter((value) => !shape.excluded.has(value)).map(text))
    if ((types & NUMBER) !== 0) items.push(this.lowerNumber(shape))
    if ((types & STRING) !== 0) items.push(this.lowerString(shape))
    if ((types & OBJECT) !== 0) items.push(isFreeObject(shape) ? this.json.object : lowerObject(this, shape))
    if ((types & ARRAY) !== 0) items.push(isFreeArray(shape) ? this.json.array : lowerArray(this, shape))
    return choice(...items)
  }

  private lowerValues(shape: Shape): Expr {
    const values = this.expander.judge.valuesIn(shape)
    const scalars: string[] = []
    const items: Expr[] = []
    for (const value of values) {
      const spelled = JSON.stringify(value)
      if (typeof value === 'string' && !value.isWellFormed()) {
        throw refuseGrammar('a value with a lone surrogate cannot be written', placeOf(shape.pointer))
      }
      if (typeof value === 'object' && value !== null) items.push(this.json.constant(value))
      else scalars.push(spelled)
    }
    if (items.length === 0 && scalars.length === 0) return NOTHING
    if (scalars.reduce((sum, spelled) => sum + spelled.length, 0) <= MAX_INLINE_VALUE_CHARS) {
      return choice(...scalars.map(text), ...items)
    }
    const all: Expr = { kind: 'regular', automaton: this.expander.languages.fromTexts(scalars) }
    return this.builder.add(`values-${shape.pointer}`, choice(all, ...items))
  }

  private lowerNumber(shape: Shape): Expr {
    const { number } = shape
    const excluded = [...shape.excluded.values()].filter((value) => typeof value === 'number')
    if (number.min === -Infinity && number.max === Infinity && number.multiples.length === 0 && excluded.length === 0) {
      return number.isInteger ? this.json.integer : this.json.number
    }
    const { isInteger, min, max, multiples } = number
    const key = `number ${isInteger} ${min} ${max} ${multiples.join()} not ${excluded.join()}`
    const make = (): Expr =>
      numberExpr(number, excluded, { pointer: shape.pointer, budget: this.expander.languages.budget, enforcement: this.enforcement })
    return this.json.once(`number-${shape.pointer}`, make, key)
  }

  private lowerString(shape: Shape): Expr {
    const texts = this.expander.languages.ofShape(shape, false)
    if (texts === null) return this.json.string(shape.string.minLength, shape.string.maxLength)
    return this.builder.add(`string-${shape.pointer}`, sequence(text('"'), textsExpr(texts, spelledTexts), text('"')))
  }

  private refuseExcluded(shape: Shape, types: number): void {
    for (const value of shape.excluded.values()) {
      const type = Array.isArray(value) ? ARRAY : isRecord(value) ? OBJECT : 0
      if ((types & type) !== 0) this.enforcement.leaveOut('`not` of an object or array value is not enforced by this server', placeOf(shape.pointer))
    }
  }
}

/** No member of it is lowered with it. */
function isLeaf(shape: Shape): boolean {
  if (shape.values !== null) return true
  return ((shape.types & OBJECT) === 0 || isFreeObject(shape)) && ((shape.types & ARRAY) === 0 || isFreeArray(shape))
}
