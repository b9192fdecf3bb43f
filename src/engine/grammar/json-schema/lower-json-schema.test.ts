import { expect, test } from 'vitest'
import type { JsonValue } from '#contract/generate'
import { compileAutomaton } from '#engine/grammar/compile-automaton'
import type { Expr } from '#engine/grammar/grammar'
import { GrammarBuilder } from '#engine/grammar/grammar-builder'
import { DEFAULT_GRAMMAR_LIMITS } from '#engine/grammar/grammar-limits'
import { createReferenceVocabulary } from '#engine/grammar/reference-matcher'
import { type JsonSchemaOptions, lowerJsonObject, lowerJsonSchema, lowerJsonValue } from './lower-json-schema.ts'

const BYTES = createReferenceVocabulary(Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)))
const DEFAULTS: JsonSchemaOptions = { whitespace: 'flexible', limits: DEFAULT_GRAMMAR_LIMITS, closedObjects: true, unenforced: 'refuse' }

function matcherOf(make: (builder: GrammarBuilder) => Expr): (text: string) => boolean {
  const builder = new GrammarBuilder()
  const root = builder.declare('root')
  builder.define(root, make(builder))
  const grammar = BYTES.load(compileAutomaton(builder.build(root), DEFAULT_GRAMMAR_LIMITS))
  return (text) => {
    const matcher = grammar.createMatcher()
    for (const byte of Buffer.from(text)) if (!matcher.accept(byte)) return false
    return matcher.canEnd
  }
}

function matches(schema: JsonValue, options: Partial<JsonSchemaOptions> = {}): (text: string) => boolean {
  return matcherOf((builder) => lowerJsonSchema(builder, schema, { ...DEFAULTS, ...options }))
}

function refusal(schema: JsonValue): string {
  try {
    matches(schema)
  } catch (error) {
    return (error as Error).message
  }
  return 'taken'
}

test.each<[string, JsonValue]>([
  ['`uniqueItems` is not enforced by this server (at /properties/a/uniqueItems)', { properties: { a: { type: 'array', uniqueItems: true } } }],
  ['`$dynamicRef` is not enforced by this server (at /$dynamicRef)', { $dynamicRef: '#x' }],
  ['`nullable` is not enforced without `type` (at /nullable)', { nullable: true }],
  ['`a/b~c` is not enforced by this server (at /items/a~1b~0c)', { type: 'array', items: { 'a/b~c': 1 } }],
  ["`format` 'idn-email' is not enforced by this server (at /format)", { type: 'string', format: 'idn-email' }],
  ["`$ref` names 'https://example.com/s', which is not in this document; nothing is fetched (at /$ref)", { $ref: 'https://example.com/s' }],
  ["`$ref` names '#/$defs/none', which does not exist (at /$ref)", { $ref: '#/$defs/none' }],
  ['the schema refers to itself without reading anything (at the root)', { $ref: '#' }],
  ['`$schema` is not draft 7 or 2020-12 (at /$schema)', { $schema: 'http://json-schema.org/draft-04/schema#' }],
  ['`exclusiveMinimum` is not a number (at /exclusiveMinimum)', { type: 'number', minimum: 1, exclusiveMinimum: true }],
  ['`type` is not a type of JSON Schema (at /type)', { type: 'any' }],
  ['`minLength` is not a count (at /minLength)', { minLength: -1 }],
  ['no value satisfies the schema', false],
  ['no value satisfies the schema', { type: 'integer', minimum: 3, exclusiveMaximum: 4, not: { const: 3 }, enum: [3] }],
  ['no value satisfies the schema', { type: 'object', properties: { a: { type: 'string', enum: [1] } }, required: ['a'] }],
  ['the grammar matches no text', { $ref: '#/$defs/a', $defs: { a: { type: 'object', properties: { b: { $ref: '#/$defs/a' } }, required: ['b'] } } }],
  ['`oneOf` is not enforced where branches 0 and 1 may both hold: use anyOf (at /oneOf)', { oneOf: [{ multipleOf: 2 }, { multipleOf: 3 }] }],
  ['`unevaluatedProperties` is not enforced beside `allOf` (at /unevaluatedProperties)', { allOf: [{}], unevaluatedProperties: false }],
  [
    '`minProperties` is not enforced beyond the declared properties and one more (at the root)',
    { type: 'object', minProperties: 2, additionalProperties: true },
  ],
  ['`enum` has more than 10000 values (at /enum)', { enum: Array.from({ length: 20_000 }, (_, index) => index) }],
  ['a JSON schema is an object or a boolean', [1]],
])('refuses with the keyword and its place: %s', (message, schema) => {
  expect(refusal(schema)).toBe(message)
})

test('a cycle of references that reads nothing is refused wherever it begins', () => {
  const $defs = { a: { $ref: '#/$defs/b' }, b: { allOf: [{ $ref: '#/$defs/c' }] }, c: { anyOf: [{ $ref: '#/$defs/a' }, { type: 'null' }] } }
  expect(refusal({ type: 'object', properties: { x: { $ref: '#/$defs/a' } }, $defs })).toMatch(/refers to itself without reading anything/)
})

test('a schema 30,000 deep, a tool with 10,000 parameters and an enum of 100,000 values are refused by their limits', () => {
  let deep: JsonValue = { type: 'string' }
  for (let depth = 0; depth < 30_000; depth++) deep = { type: 'array', items: deep }
  expect(refusal(deep)).toBe('the schema is nested more than 64 deep')
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`p${index}`, {}]))
  expect(refusal({ type: 'object', properties: many })).toBe('`properties` has more than 2000 members (at /properties)')
  expect(refusal({ enum: Array.from({ length: 100_000 }, (_, index) => `value ${index}`) })).toBe('the schema is larger than 262144 bytes')
})

test('a chain of references is followed to a bound, and one through properties without one', () => {
  const chain = (link: (name: string) => JsonValue, length: number): JsonValue => ({
    $ref: '#/$defs/d0',
    $defs: Object.fromEntries(Array.from({ length: length + 1 }, (_, i) => [`d${i}`, i === length ? { type: 'null' } : link(`#/$defs/d${i + 1}`)])),
  })
  expect(matches(chain(($ref) => ({ $ref }), 200))('null')).toBe(true)
  expect(refusal(chain(($ref) => ({ $ref }), 300))).toMatch(/more than 256 schemas lead to each other/)
  const nested = matches(chain(($ref) => ({ type: 'array', items: { $ref }, minItems: 1 }), 1_500))
  expect(nested(`${'['.repeat(1_500)}null${']'.repeat(1_500)}`)).toBe(true)
})

test('combinations of alternatives that explode are refused', () => {
  const allOf = Array.from({ length: 12 }, (_, index) => ({
    anyOf: [{ properties: { [`a${index}`]: { type: 'string' } } }, { properties: { [`a${index}`]: { type: 'null' } } }],
  }))
  expect(refusal({ type: 'object', allOf })).toMatch(/more than 512 combinations of alternatives/)
})

test('definitions that refer to each other twice do not multiply', () => {
  const levels = (keyword: string): JsonValue => ({
    $ref: '#/$defs/d0',
    $defs: Object.fromEntries(
      Array.from({ length: 60 }, (_, i) => [
        `d${i}`,
        i === 59 ? { type: 'null' } : { [keyword]: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
      ]),
    ),
  })
  for (const keyword of ['allOf', 'anyOf']) expect(matches(levels(keyword))('null')).toBe(true)
  const names = Array.from({ length: 40 }, (_, index) => `p${index}`)
  const wide = (next: string): JsonValue => ({
    type: 'object',
    required: names,
    properties: Object.fromEntries(names.map((name) => [name, { $ref: next }])),
  })
  const builder = new GrammarBuilder()
  const $defs = { d0: wide('#/$defs/d1'), d1: wide('#/$defs/d2'), d2: wide('#/$defs/d3'), d3: wide('#/$defs/d4'), d4: { type: 'null' } }
  lowerJsonSchema(builder, { $ref: '#/$defs/d0', $defs }, DEFAULTS)
  expect(builder.numRules).toBeLessThan(10)
})

test('sixty conditions on one property are followed, and a long enum under many alternatives is refused', () => {
  const condition = (index: number): JsonValue => ({
    if: { properties: { k: { const: `x${index}` } } },
    then: { properties: { v: { const: index } } },
  })
  const allOf = Array.from({ length: 60 }, (_, index) => condition(index))
  const takes = matches({ type: 'object', properties: { k: { type: 'string' }, v: true }, required: ['k', 'v'], allOf })
  expect(takes('{"k":"x7","v":7}')).toBe(true)
  expect(takes('{"k":"x7","v":8}')).toBe(false)
  expect(takes('{"k":"y","v":8}')).toBe(true)
  const alternatives = Array.from({ length: 500 }, (_, index) => ({ minimum: index }))
  expect(refusal({ enum: Array.from({ length: 10_000 }, (_, index) => index), anyOf: alternatives })).toMatch(
    /too many values under too many alternatives/,
  )
})

test('a number beyond the range of doubles is refused, not read as null', () => {
  expect(refusal(JSON.parse('{"const":1e400}') as JsonValue)).toBe('a number is too large for a double (at /const)')
})

test('keys named like members of Object.prototype are data', () => {
  const schema = JSON.parse(
    '{"type":"object","properties":{"__proto__":{"type":"integer"},"constructor":{"type":"null"}},"required":["__proto__"]}',
  ) as JsonValue
  const takes = matches(schema)
  expect(takes('{"__proto__":1}')).toBe(true)
  expect(takes('{"__proto__":1,"constructor":null}')).toBe(true)
  expect(takes('{"constructor":null}')).toBe(false)
  expect(({} as Record<string, unknown>)['polluted']).toBe(undefined)
  expect(refusal({ $ref: '#/constructor' })).toMatch(/does not exist/)
})

test('an object that declares properties has no others, unless it says so or objects are open', () => {
  const schema = { type: 'object', properties: { a: { type: 'null' } } }
  expect(matches(schema)('{"b":1}')).toBe(false)
  expect(matches(schema, { closedObjects: false })('{"b":1}')).toBe(true)
  expect(matches({ ...schema, additionalProperties: true })('{"b":1}')).toBe(true)
  expect(matches({ type: 'object' })('{"b":1}')).toBe(true)
})

test('a further key is never a declared name in another spelling', () => {
  const takes = matches({ type: 'object', properties: { a: { type: 'null' }, 'q"': { type: 'null' } }, additionalProperties: { type: 'integer' } })
  expect(takes('{"b":1}')).toBe(true)
  expect(takes('{"a":1}')).toBe(false)
  expect(takes('{"\\u0061":1}')).toBe(false)
  expect(takes('{"q\\"":1}')).toBe(false)
  expect(takes('{"q\\u0022":1}')).toBe(false)
  expect(takes('{"q\\"":null}')).toBe(true)
})

test('white space between tokens is bounded, and there is none around the value', () => {
  const takes = matches({ type: 'array', items: { type: 'integer' } })
  expect(takes('[\n  1,\n  2\n]')).toBe(true)
  expect(takes('[1, 2]')).toBe(true)
  expect(takes(`[\n${' '.repeat(40)}1]`)).toBe(true)
  expect(takes(`[\n${' '.repeat(41)}1]`)).toBe(false)
  expect(takes('[  1]')).toBe(false)
  expect(takes('[\n\n1]')).toBe(false)
  expect(takes(' [1]')).toBe(false)
  expect(takes('[1] ')).toBe(false)
  expect(matches({ type: 'array', items: { type: 'integer' } }, { whitespace: 'none' })('[1, 2]')).toBe(false)
})

test('strings are counted in code points, in any spelling, without lone surrogates', () => {
  const takes = matches({ type: 'string', minLength: 2, maxLength: 2 })
  for (const text of ['"ab"', '"😀😀"', '"\\u0041b"', '"\\ud83d\\ude00b"', '"\\n\\\\"', '"é\\/"']) expect([text, takes(text)]).toEqual([text, true])
  for (const text of ['"a"', '"abc"', '"\\ud83d\\ude00"', '"\\ud83db"', '"\\ude00b"', '"a\nb"', '"a\u0001"']) {
    expect([text, takes(text)]).toEqual([text, false])
  }
})

test('numbers have no leading zeros, no negative zero, and never become infinite', () => {
  const takes = matches({ type: 'number' })
  for (const text of ['0', '-1', '0.5', '-0.5', '1e5', '1E-7', '1e+21', '12345678901234567890', '1e279'])
    expect([text, takes(text)]).toEqual([text, true])
  for (const text of ['-0', '01', '+1', '.5', '1.', '1e', '1e400', '123456789012345678901', 'NaN']) expect([text, takes(text)]).toEqual([text, false])
})

test('exclusive bounds hold for the double that a reader makes of the text', () => {
  const takes = matches({ type: 'number', exclusiveMinimum: 5, exclusiveMaximum: 6 })
  expect(takes('5.1')).toBe(true)
  expect(takes('5.00000000000000000001')).toBe(false)
  expect(takes('5.99999999999999999999')).toBe(false)
  expect(takes('5.999999999999')).toBe(true)
})

test('a 64-bit integer stays within 64 bits', () => {
  const takes = matches({ type: 'integer', format: 'int64' })
  expect(takes('-9223372036854775808')).toBe(true)
  expect(takes('-9223372036854775809')).toBe(false)
  expect(takes('9223372036854775808')).toBe(false)
})

test('draft 7 hides what stands beside $ref, later drafts apply it', () => {
  const schema = { $ref: '#/definitions/text', maxLength: 1, definitions: { text: { type: 'string' } } }
  expect(matches({ ...schema, $schema: 'http://json-schema.org/draft-07/schema#' })('"long"')).toBe(true)
  expect(matches(schema)('"long"')).toBe(false)
})

test('references find anchors, identifiers and escaped pointers', () => {
  const takes = matches({
    type: 'array',
    prefixItems: [{ $ref: '#named' }, { $ref: 'other.json' }, { $ref: 'other.json#/$defs/x' }, { $ref: '#/$defs/a~1b%25~0' }],
    items: false,
    $defs: {
      anchored: { $anchor: 'named', const: 1 },
      other: { $id: 'other.json', const: 2, $defs: { x: { const: 3 } } },
      'a/b%~': { const: 4 },
    },
  })
  expect(takes('[1,2,3,4]')).toBe(true)
  expect(takes('[1,2,4,4]')).toBe(false)
})

test('a lax schema goes on without what cannot be enforced, and keeps the rest', () => {
  const takes = matches(
    {
      $schema: 'http://json-schema.org/draft-04/schema#',
      type: 'object',
      properties: { a: { type: 'array', items: { type: 'integer' }, uniqueItems: true }, b: { type: 'string', format: 'idn-email', required: true } },
      required: ['a'],
      strange: 1,
      patternProperties: { '(?<=x)y': { type: 'null' } },
    },
    { unenforced: 'widen' },
  )
  expect(takes('{"a":[1,1],"b":"x"}')).toBe(true)
  expect(takes('{"a":["x"]}')).toBe(false)
  expect(takes('{"b":"x"}')).toBe(false)
})

test('JSON mode takes any object and nothing else', () => {
  const takes = matcherOf((builder) => lowerJsonObject(builder, 'flexible'))
  expect(takes('{"a": [1, {"b": null}], "a": "x"}')).toBe(true)
  expect(takes('[]')).toBe(false)
  expect(takes('{"a":}')).toBe(false)
  expect(matcherOf((builder) => lowerJsonValue(builder, 'none'))('[true,{"a":1.5}]')).toBe(true)
})

test('thousands of optional properties compile to a grammar in proportion', () => {
  const properties = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`p${index}`, { type: 'null' }]))
  for (const required of [[], ['p250']]) {
    const takes = matches({ type: 'object', properties, required })
    expect(takes('{"p3":null,"p250":null,"p499":null}')).toBe(true)
    expect(takes('{"p250":null}')).toBe(true)
    expect(takes('{"p250":null,"p3":null}')).toBe(false)
    expect(takes('{}')).toBe(required.length === 0)
  }
})
