/** Schemas that are hard in some way: each takes its good values, refuses its bad ones, agrees with ajv, and writes only what ajv takes. */
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import type { JsonRecord, JsonValue } from '#contract/generate'
import { accepts, ajvFor, compileSchema, randomText } from './json-schema-matching.ts'

interface HardCase {
  readonly name: string
  readonly schema: JsonRecord
  readonly good: readonly JsonValue[]
  readonly bad: readonly JsonValue[]
  /** Valid, but in a form that is documented not to be written. */
  readonly narrowed?: readonly JsonValue[]
}

const TREE: JsonRecord = {
  $ref: '#/$defs/node',
  $defs: {
    node: {
      type: 'object',
      properties: { value: { type: 'number' }, children: { type: 'array', items: { $ref: '#/$defs/node' } } },
      required: ['value', 'children'],
      additionalProperties: false,
    },
  },
}

const CASES: readonly HardCase[] = [
  {
    name: 'a recursive tree',
    schema: TREE,
    good: [
      {
        value: 1,
        children: [
          { value: -2.5, children: [] },
          { value: 0, children: [{ value: 1e21, children: [] }] },
        ],
      },
    ],
    bad: [{ value: 1 }, { value: 1, children: [{}] }, { value: 1, children: [], more: 1 }],
    narrowed: [{ children: [], value: 1 }],
  },
  {
    name: 'mutual recursion of expressions',
    schema: {
      $ref: '#/definitions/sum',
      definitions: {
        sum: { type: 'object', properties: { plus: { type: 'array', items: { $ref: '#/definitions/term' }, minItems: 2 } }, required: ['plus'] },
        term: { anyOf: [{ type: 'integer' }, { $ref: '#/definitions/sum' }, { $ref: '#/definitions/negation' }] },
        negation: { type: 'object', properties: { minus: { $ref: '#/definitions/term' } }, required: ['minus'] },
      },
    },
    good: [{ plus: [1, { minus: { plus: [2, 3] } }] }],
    bad: [{ plus: [1] }, { minus: 1 }, { plus: [1, { minus: 'x' }] }],
  },
  {
    name: 'a discriminated union by oneOf',
    schema: {
      type: 'object',
      discriminator: { propertyName: 'kind' },
      oneOf: [
        { properties: { kind: { const: 'circle' }, radius: { type: 'number', exclusiveMinimum: 0 } }, required: ['kind', 'radius'] },
        { properties: { kind: { enum: ['square', 'cube'] }, side: { type: 'integer', minimum: 1 } }, required: ['kind', 'side'] },
      ],
    },
    good: [
      { kind: 'circle', radius: 0.5 },
      { kind: 'cube', side: 3 },
    ],
    bad: [
      { kind: 'circle', radius: 0 },
      { kind: 'circle', side: 3 },
      { kind: 'cone', side: 1 },
      { kind: 'square', side: 1.5 },
    ],
  },
  {
    name: 'oneOf by which property is there',
    schema: {
      oneOf: [
        { type: 'object', properties: { file: { type: 'string' } }, required: ['file'] },
        { type: 'object', properties: { url: { type: 'string', format: 'uri' } }, required: ['url'] },
        { type: 'string' },
      ],
    },
    good: [{ file: 'a' }, { url: 'https://a.b/c' }, 'x'],
    bad: [{}, { file: 1 }, { url: 'no' }, { file: 'a', url: 'https://a.b/c' }, 3],
  },
  {
    name: 'oneOf by names that the schema itself declares',
    schema: {
      type: 'object',
      properties: { file: { type: 'string' }, url: { type: 'string' }, both: { type: 'boolean' } },
      oneOf: [{ required: ['file'] }, { required: ['url'] }],
    },
    good: [{ file: 'a' }, { url: 'b', both: true }],
    bad: [{}, { both: true }, { file: 'a', url: 'b' }],
  },
  {
    name: 'models of Python with a discriminator and a nullable default',
    schema: {
      $defs: {
        Cat: {
          type: 'object',
          title: 'Cat',
          properties: { pet: { const: 'cat', title: 'Pet', type: 'string' }, age: { type: 'integer' } },
          required: ['pet', 'age'],
        },
        Dog: { type: 'object', title: 'Dog', properties: { pet: { const: 'dog', type: 'string' } }, required: ['pet'] },
      },
      type: 'object',
      properties: {
        owned: {
          discriminator: { mapping: { cat: '#/$defs/Cat', dog: '#/$defs/Dog' }, propertyName: 'pet' },
          oneOf: [{ $ref: '#/$defs/Cat' }, { $ref: '#/$defs/Dog' }],
        },
        chips: { anyOf: [{ type: 'integer' }, { type: 'null' }], default: null },
      },
      required: ['owned'],
    },
    good: [{ owned: { pet: 'cat', age: 3 } }, { owned: { pet: 'dog' }, chips: null }],
    bad: [{ owned: { pet: 'cat' } }, { owned: { pet: 'cow' } }, { owned: { pet: 'dog' }, chips: 'x' }],
  },
  {
    name: 'oneOf of ranges that do not meet',
    schema: {
      oneOf: [
        { type: 'integer', maximum: 4 },
        { type: 'integer', minimum: 5, maximum: 10 },
        { type: 'string', pattern: '^a' },
        { type: 'string', pattern: '^b' },
      ],
    },
    good: [4, 5, -100, 'ab', 'b'],
    bad: [11, 4.5, 'c'],
  },
  {
    name: 'a draft 7 tuple',
    schema: {
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'array',
      items: [{ type: 'integer' }, { type: 'string' }],
      additionalItems: { type: 'boolean' },
      minItems: 1,
    },
    good: [[1], [1, 'a'], [1, 'a', true, false]],
    bad: [[], ['a'], [1, 'a', 1], [1, true]],
  },
  {
    name: 'anyOf nested in allOf',
    schema: {
      allOf: [
        { type: 'object', properties: { id: { type: 'integer', minimum: 1 } }, required: ['id'] },
        {
          anyOf: [
            { properties: { name: { type: 'string' } }, required: ['name'] },
            { properties: { code: { type: 'string', minLength: 2 } }, required: ['code'] },
          ],
        },
        { properties: { id: { maximum: 9 } } },
      ],
    },
    good: [
      { id: 1, name: 'x' },
      { id: 9, code: 'xx' },
    ],
    bad: [{ id: 10, name: 'x' }, { id: 1 }, { id: 1, code: 'x' }],
  },
  {
    name: 'a number range from -0.5 to below a million',
    schema: { type: 'number', minimum: -0.5, exclusiveMaximum: 1e6 },
    good: [-0.5, -0.49, 0, 0.001, 999_999, 999_999.5, 12.25],
    bad: [-0.51, 1e6, -1, 1_000_000.5],
  },
  {
    name: 'exclusive bounds of integers',
    schema: { type: 'integer', exclusiveMinimum: -3, exclusiveMaximum: 12 },
    good: [-2, 0, 9, 10, 11],
    bad: [-3, 12, 1.5, 100],
  },
  {
    name: 'prices in cents and multiples',
    schema: {
      type: 'object',
      properties: { price: { type: 'number', minimum: 0, multipleOf: 0.25 }, dozen: { type: 'integer', multipleOf: 12, minimum: -24 } },
      required: ['price', 'dozen'],
    },
    good: [
      { price: 0.25, dozen: 0 },
      { price: 19.5, dozen: -24 },
      { price: 3, dozen: 144 },
    ],
    bad: [
      { price: 0.3, dozen: 0 },
      { price: 1, dozen: 13 },
      { price: -1, dozen: 12 },
      { price: 1, dozen: -36 },
    ],
  },
  {
    name: 'a pattern with a length',
    schema: { type: 'string', pattern: '^([a-z]+-)*[a-z]+$', minLength: 3, maxLength: 8 },
    good: ['abc', 'a-b', 'abc-defg'],
    bad: ['ab', 'abc-defgh', 'a--b', '-ab', 'ABC'],
  },
  {
    name: 'patterns of two schemas together',
    schema: { allOf: [{ type: 'string', pattern: '^a' }, { pattern: 'z$' }, { not: { pattern: 'm' } }, { maxLength: 4 }] },
    good: ['az', 'abz', 'a"\\z'],
    bad: ['a', 'amz', 'abcdz', 'z'],
  },
  {
    name: 'an e-mail address as schema libraries write it',
    schema: {
      type: 'string',
      format: 'email',
      pattern: "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
    },
    good: ['a@b.co', 'first.last+x@sub.example.org'],
    bad: ['.a@b.co', 'a..b@c.de', 'a@b', 'a@b.c'],
  },
  {
    name: 'names in Unicode and names that need escapes',
    schema: {
      type: 'object',
      properties: { größe: { type: 'integer' }, 名前: { type: 'string' }, 'a"b\\c\n': { type: 'null' }, '😀': { type: 'boolean' } },
      required: ['größe', 'a"b\\c\n'],
      additionalProperties: { type: 'integer' },
    },
    good: [
      { größe: 1, 'a"b\\c\n': null },
      { größe: 1, 名前: 'x', 'a"b\\c\n': null, '😀': true, other: 3, '"': 1 },
    ],
    bad: [{ größe: 1 }, { größe: 1, 'a"b\\c\n': 1 }, { größe: 1, 'a"b\\c\n': null, other: 'x' }],
  },
  {
    name: 'pattern properties beside names and the rest',
    schema: {
      type: 'object',
      properties: { s_a: { minLength: 1 } },
      patternProperties: { '^s_': { type: 'string' }, _i$: { type: 'integer' } },
      additionalProperties: { type: 'null' },
    },
    good: [{ s_a: 'x' }, { s_b: '', x_i: 1, other: null }, {}],
    bad: [{ s_a: '' }, { s_b: 1 }, { x_i: 'x' }, { other: 1 }, { s_x_i: 'a' }, { s_x_i: 1 }],
  },
  {
    name: 'dependent keywords',
    schema: {
      type: 'object',
      properties: { card: { type: 'string' }, address: { type: 'string' }, vip: { type: 'boolean' } },
      dependentRequired: { card: ['address'] },
      dependentSchemas: { vip: { properties: { address: { minLength: 3 } } } },
    },
    good: [{}, { address: '' }, { card: '1', address: '' }, { address: 'abc', vip: true }],
    bad: [{ card: '1' }, { address: 'ab', vip: true }],
  },
  {
    name: 'if, then and else by the value of one property',
    schema: {
      type: 'object',
      properties: { country: { enum: ['US', 'NL'] }, code: { type: 'string' } },
      required: ['country', 'code'],
      if: { properties: { country: { const: 'US' } }, required: ['country'] },
      then: { properties: { code: { pattern: '^[0-9]{5}$' } } },
      else: { properties: { code: { pattern: '^[0-9]{4} [A-Z]{2}$' } } },
    },
    good: [
      { country: 'US', code: '12345' },
      { country: 'NL', code: '1234 AB' },
    ],
    bad: [
      { country: 'US', code: '1234 AB' },
      { country: 'NL', code: '12345' },
      { country: 'DE', code: '12345' },
    ],
  },
  {
    name: 'contains with counts',
    schema: { type: 'array', items: { type: 'integer' }, contains: { minimum: 10 }, minContains: 1, maxContains: 2, maxItems: 4 },
    good: [[10], [1, 10], [10, 2, 11, 3]],
    bad: [[], [1], [10, 11, 12], [10, 1, 1, 1, 1]],
  },
  {
    name: 'counted properties',
    schema: {
      type: 'object',
      properties: { a: { type: 'null' }, b: { type: 'null' }, c: { type: 'null' }, d: { type: 'null' } },
      additionalProperties: false,
      minProperties: 2,
      maxProperties: 3,
    },
    good: [
      { a: null, d: null },
      { b: null, c: null, d: null },
    ],
    bad: [{}, { a: null }, { a: null, b: null, c: null, d: null }],
  },
  {
    name: 'negations',
    schema: {
      type: 'object',
      properties: {
        a: { not: { type: ['string', 'object', 'array'] } },
        b: { type: 'number', not: { minimum: 0, maximum: 10 } },
        c: { type: 'string', not: { enum: ['x', ''] } },
      },
      not: { required: ['a', 'b'] },
    },
    good: [{ a: 1 }, { b: -1 }, { b: 10.5, c: 'y' }, { a: null, c: 'xx' }],
    bad: [{ a: 'x' }, { b: 5 }, { c: 'x' }, { a: 1, b: -1 }],
  },
  {
    name: 'an enum of everything',
    schema: { enum: [null, true, 0, -1.5, 1e21, 'x', '"', [], [1, [2]], {}, { a: { b: [null] } }] },
    good: [null, true, 0, -1.5, 1e21, 'x', '"', [], [1, [2]], {}, { a: { b: [null] } }],
    bad: [false, 1, '', [1], { a: 1 }],
  },
  {
    name: 'enum beside other keywords',
    schema: { enum: ['a', 'bb', 'ccc', 4, null], type: ['string', 'integer'], minLength: 2, maximum: 3 },
    good: ['bb', 'ccc'],
    bad: ['a', 4, null],
  },
  {
    name: 'a weather tool',
    schema: {
      type: 'object',
      properties: {
        location: { type: 'string', description: 'The city and state, e.g. San Francisco, CA' },
        unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
      },
      required: ['location', 'unit'],
      additionalProperties: false,
    },
    good: [{ location: 'Paris', unit: 'celsius' }],
    bad: [{ location: 'Paris' }, { location: 'Paris', unit: 'kelvin' }],
  },
  {
    name: 'a tool that opens an issue',
    schema: {
      type: 'object',
      properties: {
        owner: { type: 'string', pattern: '^[A-Za-z0-9-]{1,39}$' },
        title: { type: 'string', minLength: 1, maxLength: 256 },
        body: { type: ['string', 'null'] },
        labels: { type: 'array', items: { type: 'string' }, maxItems: 100 },
        milestone: { anyOf: [{ type: 'integer', minimum: 1 }, { type: 'null' }], default: null },
      },
      required: ['owner', 'title'],
    },
    good: [
      { owner: 'octo-cat', title: 'x', labels: ['bug', 'ui'], milestone: 3 },
      { owner: 'a', title: 'é', body: null },
    ],
    bad: [
      { owner: 'a b', title: 'x' },
      { owner: 'a', title: '' },
      { owner: 'a', title: 'x', milestone: 0 },
    ],
  },
  {
    name: 'an object of Kubernetes',
    schema: {
      type: 'object',
      required: ['apiVersion', 'kind', 'spec'],
      properties: {
        apiVersion: { const: 'apps/v1' },
        kind: { const: 'Deployment' },
        metadata: {
          type: 'object',
          properties: {
            name: { type: 'string', format: 'hostname' },
            labels: { type: 'object', additionalProperties: { type: 'string', maxLength: 63 } },
          },
        },
        spec: {
          type: 'object',
          required: ['replicas'],
          properties: {
            replicas: { type: 'integer', format: 'int32', minimum: 0 },
            ports: { type: 'array', items: { $ref: '#/$defs/port' }, 'x-kubernetes-list-type': 'map' },
          },
        },
      },
      $defs: {
        port: {
          anyOf: [
            { type: 'integer', minimum: 1, maximum: 65_535 },
            { type: 'string', pattern: '^[a-z]([-a-z0-9]*[a-z0-9])?$' },
          ],
        },
      },
    },
    good: [
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web', labels: { app: 'web', 'a/b': '' } },
        spec: { replicas: 3, ports: [80, 'http'] },
      },
    ],
    bad: [
      { apiVersion: 'apps/v1', kind: 'Deployment', spec: { replicas: -1 } },
      { apiVersion: 'apps/v1', kind: 'Deployment', spec: { replicas: 1, ports: [65_536] } },
      { apiVersion: 'v1', kind: 'Deployment', spec: { replicas: 1 } },
    ],
  },
]

test.each(CASES.map((hard) => [hard.name, hard] as const))('%s', (_, { schema, good, bad, narrowed = [] }) => {
  const isValid = ajvFor(schema)
  const grammar = compileSchema(schema)
  for (const value of good) {
    expect([value, isValid(value)]).toEqual([value, true])
    for (const indent of [0, 2]) expect([value, accepts(grammar, JSON.stringify(value, null, indent))]).toEqual([value, true])
  }
  for (const value of bad) {
    expect([value, isValid(value)]).toEqual([value, false])
    expect([value, accepts(grammar, JSON.stringify(value))]).toEqual([value, false])
  }
  for (const value of narrowed) expect([value, isValid(value), accepts(grammar, JSON.stringify(value))]).toEqual([value, true, false])
  const random = new SeededRandom(schema === TREE ? 3 : 11)
  let numTexts = 0
  for (let walk = 0; walk < 6; walk++) {
    const text = randomText(grammar, random, 600)
    if (text === null) continue
    numTexts++
    expect([text, isValid(JSON.parse(text))]).toEqual([text, true])
  }
  expect(numTexts).toBeGreaterThan(0)
})

test.each([
  'date',
  'time',
  'date-time',
  'duration',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'uuid',
  'uri',
  'uri-reference',
  'json-pointer',
  'relative-json-pointer',
  'byte',
])('texts written in the format %s are valid', (format) => {
  const schema = { type: 'string', format }
  const isValid = ajvFor(schema)
  const grammar = compileSchema(schema)
  const random = new SeededRandom(5)
  const texts = Array.from({ length: 40 }, () => randomText(grammar, random, 200)).filter((text) => text !== null)
  expect(texts.length).toBeGreaterThan(10)
  for (const text of texts) expect([text, isValid(JSON.parse(text))]).toEqual([text, true])
})
