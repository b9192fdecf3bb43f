/** Keywords into shapes: what one schema says by itself, and what its opposite says. Its applicators are `expand-schema.ts`. */
import { refuseGrammar } from '../grammar-limits.ts'
import { complement } from '../char-algebra.ts'
import { isStandardFormat } from './formats.ts'
import type { Keywords, TypeName } from './read-keywords.ts'
import { placeOf, type SchemaNode } from './schema-source.ts'
import {
  ANY_SHAPE,
  ARRAY,
  BOOLEAN,
  canonicalText,
  isFree,
  type Literal,
  mergeShapes,
  nextDouble,
  NULL,
  NUMBER,
  OBJECT,
  type Shape,
  STRING,
} from './shape.ts'
import type { StringLanguages } from './string-languages.ts'

const TYPE_BITS: Readonly<Record<TypeName, number>> = {
  null: NULL,
  boolean: BOOLEAN,
  integer: NUMBER,
  number: NUMBER,
  string: STRING,
  object: OBJECT,
  array: ARRAY,
}

export function positive(node: SchemaNode): Literal {
  return { node, negated: false }
}

/** The conjunction of all keywords that apply no schema in place; ANY_SHAPE itself where there are none. */
export function shapeOfKeywords(keywords: Keywords, pointer: string, languages: StringLanguages): Shape {
  let shape: Shape = {
    ...ANY_SHAPE,
    types: keywords.types === null ? ANY_SHAPE.types : typeBits(keywords.types),
    number: {
      isInteger: keywords.types !== null && keywords.types.includes('integer') && !keywords.types.includes('number'),
      min: Math.max(keywords.minimum ?? -Infinity, keywords.exclusiveMinimum === null ? -Infinity : nextDouble(keywords.exclusiveMinimum, 1)),
      max: Math.min(keywords.maximum ?? Infinity, keywords.exclusiveMaximum === null ? Infinity : nextDouble(keywords.exclusiveMaximum, -1)),
      multiples: keywords.multipleOf === null ? [] : [keywords.multipleOf],
    },
    string: {
      ...ANY_SHAPE.string,
      minLength: keywords.minLength ?? 0,
      maxLength: keywords.maxLength,
      languages: languages.ofPatterns(keywords.pattern === null ? [] : [keywords.pattern], `${pointer}/pattern`),
    },
    object: objectShape(keywords, pointer, languages),
    array: arrayShape(keywords),
    pointer,
  }
  for (const values of keywords.valueSets) {
    shape = mergeShapes(shape, { ...ANY_SHAPE, values: new Map(values.map((value) => [canonicalText(value), value])) })
  }
  // zod writes the names of its own formats beside the patterns that spell them out.
  const isSpelledOut = (keywords.pattern !== null || keywords.allOf.length > 0) && keywords.format !== null && !isStandardFormat(keywords.format)
  if (keywords.format !== null && !isSpelledOut) shape = mergeShapes(shape, languages.ofFormat(keywords.format, `${pointer}/format`))
  return shape.types === ANY_SHAPE.types && shape.values === null && isFree(shape) ? ANY_SHAPE : shape
}

function typeBits(types: readonly TypeName[]): number {
  return types.reduce((bits, name) => bits | TYPE_BITS[name], 0)
}

function objectShape(keywords: Keywords, pointer: string, languages: StringLanguages): Shape['object'] {
  const { properties, patternProperties, additionalProperties } = keywords
  const hasRule = properties !== null || patternProperties !== null || additionalProperties !== null
  return {
    rules: hasRule
      ? [
          {
            properties: new Map([...(properties ?? [])].map(([name, node]) => [name, positive(node)])),
            patterns: [...(patternProperties ?? [])].flatMap(([pattern, node]) =>
              languages.ofPatterns([pattern], `${pointer}/patternProperties`).map((language) => ({ language, literal: positive(node) })),
            ),
            additional: additionalProperties === null ? null : positive(additionalProperties),
          },
        ]
      : [],
    required: [...new Set(keywords.required)],
    forbidden: [],
    names: keywords.propertyNames === null ? [] : [positive(keywords.propertyNames)],
    minProperties: keywords.minProperties ?? 0,
    maxProperties: keywords.maxProperties,
  }
}

function arrayShape(keywords: Keywords): Shape['array'] {
  const { prefixItems, items, contains } = keywords
  return {
    rules:
      prefixItems === null && items === null ? [] : [{ prefix: (prefixItems ?? []).map(positive), rest: items === null ? null : positive(items) }],
    contains: contains === null ? [] : [{ literal: positive(contains), min: keywords.minContains ?? 1, max: keywords.maxContains }],
    minItems: keywords.minItems ?? 0,
    maxItems: keywords.maxItems,
    isUnique: keywords.uniqueItems,
  }
}

/**
 * Shapes that together hold exactly the values that break at least one keyword of shapeOfKeywords. Throws InferdError where that is not
 * a finite union of shapes.
 */
export function shapesOfOpposite(keywords: Keywords, pointer: string): Shape[] {
  refuseUndecided(keywords, pointer)
  const only = (types: number, part: Partial<Shape>): Shape => ({ ...ANY_SHAPE, types, pointer, ...part })
  const { number, string, object, array } = ANY_SHAPE
  const opposite: Shape[] = []
  if (keywords.types !== null) opposite.push(only(otherTypes(typeBits(keywords.types)), {}))
  for (const values of keywords.valueSets)
    opposite.push(only(ANY_SHAPE.types, { excluded: new Map(values.map((value) => [canonicalText(value), value])) }))
  if (keywords.minimum !== null) opposite.push(only(NUMBER, { number: { ...number, max: nextDouble(keywords.minimum, -1) } }))
  if (keywords.maximum !== null) opposite.push(only(NUMBER, { number: { ...number, min: nextDouble(keywords.maximum, 1) } }))
  if (keywords.exclusiveMinimum !== null) opposite.push(only(NUMBER, { number: { ...number, max: keywords.exclusiveMinimum } }))
  if (keywords.exclusiveMaximum !== null) opposite.push(only(NUMBER, { number: { ...number, min: keywords.exclusiveMaximum } }))
  if (keywords.minLength !== null && keywords.minLength > 0) opposite.push(only(STRING, { string: { ...string, maxLength: keywords.minLength - 1 } }))
  if (keywords.maxLength !== null) opposite.push(only(STRING, { string: { ...string, minLength: keywords.maxLength + 1 } }))
  for (const name of keywords.required) opposite.push(only(OBJECT, { object: { ...object, forbidden: [name] } }))
  for (const [name, node] of keywords.properties ?? []) {
    const rule = { properties: new Map([[name, { node, negated: true }]]), patterns: [], additional: null }
    opposite.push(only(OBJECT, { object: { ...object, required: [name], rules: [rule] } }))
  }
  for (const [name, others] of keywords.dependentRequired) {
    for (const other of others) opposite.push(only(OBJECT, { object: { ...object, required: [name], forbidden: [other] } }))
  }
  if (keywords.minProperties !== null && keywords.minProperties > 0) {
    opposite.push(only(OBJECT, { object: { ...object, maxProperties: keywords.minProperties - 1 } }))
  }
  if (keywords.maxProperties !== null) opposite.push(only(OBJECT, { object: { ...object, minProperties: keywords.maxProperties + 1 } }))
  if (keywords.minItems !== null && keywords.minItems > 0) opposite.push(only(ARRAY, { array: { ...array, maxItems: keywords.minItems - 1 } }))
  if (keywords.maxItems !== null) opposite.push(only(ARRAY, { array: { ...array, minItems: keywords.maxItems + 1 } }))
  return opposite
}

/** The opposite of `pattern`. */
export function shapeOfOtherTexts(pattern: string, pointer: string, languages: StringLanguages): Shape {
  const language = complement(languages.ofPattern(pattern, `${pointer}/pattern`))
  return { ...ANY_SHAPE, types: STRING, pointer, string: { ...ANY_SHAPE.string, languages: [language] } }
}

function otherTypes(types: number): number {
  return ANY_SHAPE.types & ~types
}

function refuseUndecided(keywords: Keywords, pointer: string): void {
  const refuse = (keyword: string): never => {
    throw refuseGrammar(
      `the opposite of \`${keyword}\` (under \`not\`, \`if\` or \`oneOf\`) is not enforced by this server`,
      placeOf(`${pointer}/${keyword}`),
    )
  }
  if (keywords.types !== null && keywords.types.includes('integer') && !keywords.types.includes('number')) refuse('type')
  if (keywords.multipleOf !== null) refuse('multipleOf')
  if (keywords.format !== null) refuse('format')
  if (keywords.patternProperties !== null) refuse('patternProperties')
  if (keywords.additionalProperties !== null && keywords.additionalProperties.schema !== true) refuse('additionalProperties')
  if (keywords.propertyNames !== null) refuse('propertyNames')
  if (keywords.prefixItems !== null) refuse('prefixItems')
  if (keywords.items !== null && keywords.items.schema !== true) refuse('items')
  if (keywords.uniqueItems) refuse('uniqueItems')
  if (keywords.contains !== null) refuse('contains')
  if (keywords.oneOf !== null) refuse('oneOf')
  if (keywords.ifSchema !== null && (keywords.thenSchema !== null || keywords.elseSchema !== null)) refuse('if')
  if (keywords.dependentSchemas.length > 0) refuse('dependentSchemas')
}
