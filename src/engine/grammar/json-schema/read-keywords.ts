/** The keywords of one schema, checked: unknown JSON enters, typed constraints leave. What is not enforced is refused here by name. */
import type { JsonRecord, JsonValue } from '#contract/generate'
import { type GrammarLimits, refuseGrammar } from '../grammar-limits.ts'
import type { Enforcement } from './enforcement.ts'
import { escapePointer, isRecord, own, placeOf, type SchemaDocument, type SchemaNode, shown } from './schema-source.ts'

export type TypeName = 'null' | 'boolean' | 'integer' | 'number' | 'string' | 'object' | 'array'

/** null = the keyword is absent. */
export interface Keywords {
  readonly ref: SchemaNode | null
  readonly types: readonly TypeName[] | null
  /** `enum` and `const`, each a set that the value must be in. */
  readonly valueSets: readonly (readonly JsonValue[])[]
  readonly allOf: readonly SchemaNode[]
  readonly anyOf: readonly SchemaNode[] | null
  readonly oneOf: readonly SchemaNode[] | null
  readonly not: SchemaNode | null
  readonly ifSchema: SchemaNode | null
  readonly thenSchema: SchemaNode | null
  readonly elseSchema: SchemaNode | null
  readonly minimum: number | null
  readonly maximum: number | null
  readonly exclusiveMinimum: number | null
  readonly exclusiveMaximum: number | null
  readonly multipleOf: number | null
  readonly minLength: number | null
  readonly maxLength: number | null
  readonly pattern: string | null
  readonly format: string | null
  readonly properties: ReadonlyMap<string, SchemaNode> | null
  readonly patternProperties: ReadonlyMap<string, SchemaNode> | null
  readonly additionalProperties: SchemaNode | null
  readonly propertyNames: SchemaNode | null
  readonly required: readonly string[]
  readonly minProperties: number | null
  readonly maxProperties: number | null
  /** [name, what its presence requires]. */
  readonly dependentRequired: readonly (readonly [string, readonly string[]])[]
  readonly dependentSchemas: readonly (readonly [string, SchemaNode])[]
  readonly prefixItems: readonly SchemaNode[] | null
  readonly items: SchemaNode | null
  readonly minItems: number | null
  readonly maxItems: number | null
  readonly uniqueItems: boolean
  readonly contains: SchemaNode | null
  readonly minContains: number | null
  readonly maxContains: number | null
}

/** They say something of a value and constrain nothing. `discriminator` is OpenAPI's hint beside a oneOf. */
const ANNOTATIONS = new Set(
  [
    'title description default examples example deprecated readOnly writeOnly discriminator externalDocs xml',
    '$schema $id $anchor $dynamicAnchor $comment $defs definitions',
    'contentMediaType contentEncoding contentSchema errorMessage propertyOrdering tsType tsEnumNames',
    'markdownDescription enumDescriptions markdownEnumDescriptions enumNames deprecationMessage',
  ].flatMap((line) => line.split(' ')),
)

const CONSTRAINTS = new Set(
  [
    '$ref type nullable enum const allOf anyOf oneOf not if then else',
    'minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern format',
    'properties patternProperties additionalProperties unevaluatedProperties propertyNames required',
    'minProperties maxProperties dependentRequired dependentSchemas dependencies',
    'prefixItems items additionalItems unevaluatedItems minItems maxItems uniqueItems',
    'contains minContains maxContains',
  ].flatMap((line) => line.split(' ')),
)

/** Where they stand beside `unevaluated*`, what is evaluated depends on the value. */
const IN_PLACE = ['$ref', 'allOf', 'anyOf', 'oneOf', 'not', 'if', 'dependentSchemas', 'dependencies']

const TYPE_NAMES: readonly string[] = ['null', 'boolean', 'integer', 'number', 'string', 'object', 'array']

interface ReadContext {
  readonly document: SchemaDocument
  readonly limits: GrammarLimits
  readonly enforcement: Enforcement
}

/** `schema` is the object of `node`. Throws InferdError that names the keyword and its place; lax: what is malformed counts as absent. */
export function readKeywords(node: SchemaNode, schema: JsonRecord, context: ReadContext): Keywords {
  const { document, enforcement } = context
  const isOnlyRef = document.refHidesSiblings && typeof own(schema, '$ref') === 'string'
  const read = new KeywordReader(node, isOnlyRef ? onlyRef(schema) : schema, context)
  read.refuseUnknown()
  const reference = read.text('$ref')
  const items = read.items()
  return {
    ref: reference === null ? null : enforcement.attempt(() => document.resolve(node, reference), null),
    types: read.types(),
    valueSets: read.valueSets(),
    allOf: read.schemas('allOf') ?? [],
    anyOf: read.schemas('anyOf'),
    oneOf: read.schemas('oneOf'),
    not: read.schema('not'),
    ifSchema: read.schema('if'),
    thenSchema: read.schema('then'),
    elseSchema: read.schema('else'),
    minimum: read.number('minimum'),
    maximum: read.number('maximum'),
    exclusiveMinimum: read.number('exclusiveMinimum'),
    exclusiveMaximum: read.number('exclusiveMaximum'),
    multipleOf: read.number('multipleOf'),
    minLength: read.count('minLength'),
    maxLength: read.count('maxLength'),
    pattern: read.text('pattern'),
    format: read.text('format'),
    properties: read.schemaMap('properties'),
    patternProperties: read.schemaMap('patternProperties'),
    additionalProperties: read.rest('additionalProperties', 'unevaluatedProperties'),
    propertyNames: read.schema('propertyNames'),
    required: read.names('required', read.value('required')) ?? [],
    minProperties: read.count('minProperties'),
    maxProperties: read.count('maxProperties'),
    ...read.dependencies(),
    ...items,
    minItems: read.count('minItems'),
    maxItems: read.count('maxItems'),
    uniqueItems: read.flag('uniqueItems'),
    contains: read.schema('contains'),
    minContains: read.count('minContains'),
    maxContains: read.count('maxContains'),
  }
}

function onlyRef(schema: JsonRecord): JsonRecord {
  return { $ref: own(schema, '$ref') ?? null }
}

class KeywordReader {
  private readonly node: SchemaNode
  private readonly source: JsonRecord
  private readonly context: ReadContext

  constructor(node: SchemaNode, source: JsonRecord, context: ReadContext) {
    this.node = node
    this.source = source
    this.context = context
  }

  refuseUnknown(): void {
    for (const keyword of Object.keys(this.source)) {
      if (CONSTRAINTS.has(keyword) || ANNOTATIONS.has(keyword) || keyword.startsWith('x-')) continue
      this.leaveOut(keyword, 'is not enforced by this server')
    }
  }

  value(keyword: string): JsonValue | undefined {
    return own(this.source, keyword)
  }

  text(keyword: string): string | null {
    const value = this.value(keyword)
    if (value === undefined) return null
    if (typeof value !== 'string') return this.leaveOut(keyword, 'is not a string')
    return value
  }

  flag(keyword: string): boolean {
    const value = this.value(keyword) ?? false
    if (typeof value !== 'boolean') return this.leaveOut(keyword, 'is not a boolean') ?? false
    return value
  }

  number(keyword: string): number | null {
    const value = this.value(keyword)
    if (value === undefined) return null
    if (typeof value !== 'number' || !Number.isFinite(value)) return this.leaveOut(keyword, 'is not a number')
    if (keyword === 'multipleOf' && value <= 0) return this.leaveOut(keyword, 'is not greater than 0')
    return value
  }

  count(keyword: string): number | null {
    const value = this.number(keyword)
    if (value === null) return null
    if (!Number.isInteger(value) || value < 0) return this.leaveOut(keyword, 'is not a count')
    return Math.min(value, 0x7ffffffe)
  }

  /** `nullable` is OpenAPI's (3.0.3): it adds null to the types beside it, never to an `enum`. */
  types(): readonly TypeName[] | null {
    const isNullable = this.flag('nullable')
    const value = this.value('type')
    if (value === undefined) return isNullable ? this.leaveOut('nullable', 'is not enforced without `type`') : null
    const names = Array.isArray(value) ? (value as readonly JsonValue[]) : [value]
    if (names.length === 0) return this.leaveOut('type', 'is an empty list')
    const isKnown = names.every((name) => typeof name === 'string' && TYPE_NAMES.includes(name))
    if (!isKnown) return this.leaveOut('type', 'is not a type of JSON Schema')
    return isNullable ? [...(names as readonly TypeName[]), 'null'] : (names as readonly TypeName[])
  }

  valueSets(): readonly (readonly JsonValue[])[] {
    const sets: (readonly JsonValue[])[] = []
    const constant = this.value('const')
    if (constant !== undefined) sets.push([constant])
    const list = this.value('enum')
    if (list === undefined) return sets
    if (!Array.isArray(list) || list.length === 0) {
      this.leaveOut('enum', 'is not a list of values')
      return sets
    }
    if (list.length > this.context.limits.maxEnumValues) throw this.refuse('enum', `has more than ${this.context.limits.maxEnumValues} values`)
    return [...sets, list as readonly JsonValue[]]
  }

  schema(keyword: string): SchemaNode | null {
    const value = this.value(keyword)
    return value === undefined ? null : this.nodeAt(value, `${this.node.pointer}/${keyword}`)
  }

  schemas(keyword: string): readonly SchemaNode[] | null {
    const value = this.value(keyword)
    if (value === undefined) return null
    if (!Array.isArray(value) || value.length === 0) return this.leaveOut(keyword, 'is not a list of schemas')
    return value.map((item: JsonValue, index) => this.nodeAt(item, `${this.node.pointer}/${keyword}/${index}`))
  }

  schemaMap(keyword: string): ReadonlyMap<string, SchemaNode> | null {
    const value = this.value(keyword)
    if (value === undefined) return null
    const map = new Map<string, SchemaNode>()
    for (const [name, member] of this.entries(keyword, value)) {
      map.set(name, this.nodeAt(member, `${this.node.pointer}/${keyword}/${escapePointer(name)}`))
    }
    return map
  }

  names(keyword: string, value: JsonValue | undefined): readonly string[] | null {
    if (value === undefined) return null
    if (!Array.isArray(value) || !value.every((name) => typeof name === 'string')) return this.leaveOut(keyword, 'is not a list of names')
    if (value.length > this.context.limits.maxProperties) throw this.refuse(keyword, `has more than ${this.context.limits.maxProperties} names`)
    return value as readonly string[]
  }

  /** `keyword`, or `unevaluated` where it means the same. */
  rest(keyword: string, unevaluated: string): SchemaNode | null {
    if (this.value(unevaluated) === undefined || this.value(unevaluated) === true) return this.schema(keyword)
    const hiding = IN_PLACE.find((name) => this.value(name) !== undefined)
    const cause = unevaluated === 'unevaluatedItems' && this.value('contains') !== undefined ? 'contains' : hiding
    if (cause !== undefined) {
      this.leaveOut(unevaluated, `is not enforced beside \`${cause}\``)
      return this.schema(keyword)
    }
    return this.schema(this.value(keyword) === undefined ? unevaluated : keyword)
  }

  /** 2020-12: prefixItems and items; draft 7: a list of items and additionalItems. */
  items(): Pick<Keywords, 'prefixItems' | 'items'> {
    if (Array.isArray(this.value('items'))) {
      if (this.value('prefixItems') !== undefined) this.leaveOut('items', 'is a list beside `prefixItems`')
      const prefixItems = (this.value('items') as readonly JsonValue[]).length === 0 ? [] : this.schemas('items')
      return { prefixItems, items: this.rest('additionalItems', 'unevaluatedItems') }
    }
    return { prefixItems: this.schemas('prefixItems'), items: this.rest('items', 'unevaluatedItems') }
  }

  dependencies(): Pick<Keywords, 'dependentRequired' | 'dependentSchemas'> {
    const required: [string, readonly string[]][] = []
    const schemas: [string, SchemaNode][] = []
    for (const keyword of ['dependentRequired', 'dependentSchemas', 'dependencies']) {
      const value = this.value(keyword)
      if (value === undefined) continue
      for (const [name, member] of this.entries(keyword, value)) {
        const isNames = keyword === 'dependentRequired' || (keyword === 'dependencies' && Array.isArray(member))
        if (isNames) required.push([name, this.names(keyword, member) ?? []])
        else schemas.push([name, this.nodeAt(member, `${this.node.pointer}/${keyword}/${escapePointer(name)}`)])
      }
    }
    return { dependentRequired: required, dependentSchemas: schemas }
  }

  private entries(keyword: string, value: JsonValue): [string, JsonValue][] {
    if (!isRecord(value)) return this.leaveOut(keyword, 'is not an object') ?? []
    const entries = Object.entries(value)
    if (entries.length > this.context.limits.maxProperties) throw this.refuse(keyword, `has more than ${this.context.limits.maxProperties} members`)
    return entries
  }

  private nodeAt(value: JsonValue, pointer: string): SchemaNode {
    const { document, enforcement } = this.context
    return enforcement.attempt(() => document.nodeAt(value, pointer), null) ?? document.nodeAt(true, pointer)
  }

  /** Throws unless lax. */
  private leaveOut(keyword: string, what: string): null {
    return this.context.enforcement.leaveOut(`\`${shown(keyword)}\` ${what}`, placeOf(`${this.node.pointer}/${escapePointer(keyword)}`))
  }

  private refuse(keyword: string, what: string): Error {
    return refuseGrammar(`\`${shown(keyword)}\` ${what}`, placeOf(`${this.node.pointer}/${escapePointer(keyword)}`))
  }
}
