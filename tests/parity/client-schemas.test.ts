/** Schemas as the libraries of clients write them: zod, the openai package, pydantic, OpenAPI. Each compiles, and what it writes is valid. */
import { zodResponseFormat } from 'openai/helpers/zod'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { SeededRandom } from '#base/random'
import type { JsonRecord, JsonValue } from '#contract/generate'
import { accepts, ajvFor, compileSchema, randomText } from './json-schema-matching.ts'

const NUM_TEXTS = 12
const MAX_TEXT_BYTES = 3_000

const strings = z.object({
  email: z.email(),
  uuid: z.uuidv4(),
  when: z.iso.datetime(),
  day: z.iso.date(),
  ip: z.ipv4(),
  net: z.cidrv4(),
  bytes: z.base64url(),
  nano: z.nanoid(),
  cuid: z.cuid2(),
  ulid: z.ulid(),
  phone: z.e164(),
  hex: z.hex(),
  jwt: z.jwt(),
  small: z.string().lowercase(),
  part: z.string().startsWith('a').endsWith('b').includes('c'),
})
const members = z.object({
  maybe: z.string().nullable(),
  anything: z.unknown(),
  pair: z.tuple([z.string(), z.number()]),
  literal: z.literal(['a', 3, null, true]),
  union: z.union([z.string(), z.int(), z.object({ a: z.int() })]),
  scores: z.record(z.string(), z.number()),
  range: z.number().min(-5).max(3.5),
  fives: z.int().multipleOf(5),
})
const step = z.object({ explanation: z.string(), output: z.string() })

const SCHEMAS: Readonly<Record<string, JsonValue>> = {
  'zod: formats of strings': z.toJSONSchema(strings) as JsonRecord,
  'zod: members of all kinds': z.toJSONSchema(members) as JsonRecord,
  'zod for draft 7': z.toJSONSchema(members, { target: 'draft-7' }) as JsonRecord,
  'openai: steps of a proof': zodResponseFormat(z.object({ steps: z.array(step), final_answer: z.string() }), 'proof').json_schema
    .schema as JsonRecord,
  'pydantic: HttpUrl, a URI of at most 2,083 characters': { type: 'string', format: 'uri', minLength: 1, maxLength: 2083 },
  'pydantic: types whose formats only it knows': {
    type: 'object',
    properties: {
      path: { type: 'string', format: 'path' },
      id: { type: 'string', format: 'uuid4' },
      address: { type: 'string', format: 'ipvanyaddress' },
      secret: { type: 'string', format: 'password', writeOnly: true },
    },
    required: ['path', 'id', 'address', 'secret'],
  },
  'schemars: integers of the machine': {
    type: 'array',
    prefixItems: ['uint8', 'int16', 'uint32', 'uint64', 'int64', 'uint'].map((format) => ({ type: 'integer', format })),
    minItems: 6,
    items: false,
  },
  'OpenAPI: nullable beside a type': {
    type: 'object',
    properties: {
      note: { type: 'string', nullable: true },
      kind: { type: 'string', nullable: false },
      state: { type: 'string', nullable: true, enum: ['on', null] },
    },
    required: ['note', 'kind', 'state'],
  },
  'every value': {},
  'boolean members': { type: 'object', properties: { any: true, none: false }, required: ['any'] },
  'values of all types': { enum: [1, 'a', null, true, 1.5, [1, 'x'], { a: 1, b: [] }, 1e21, 9007199254740991] },
  'ranges below zero': {
    type: 'array',
    items: {
      anyOf: [
        { type: 'integer', minimum: -100, maximum: -7 },
        { type: 'number', minimum: -2.5, exclusiveMaximum: -0.001 },
      ],
    },
  },
}

test.each(Object.entries(SCHEMAS))('%s: compiles, and whatever is written is valid', (_, schema) => {
  const grammar = compileSchema(schema)
  const isValid = ajvFor(schema as JsonRecord)
  const random = new SeededRandom(11)
  const texts = Array.from({ length: NUM_TEXTS }, () => randomText(grammar, random, MAX_TEXT_BYTES)).filter((text) => text !== null)
  expect(texts.filter((text) => !isValid(JSON.parse(text)))).toEqual([])
  expect(texts.length).toBeGreaterThan(0)
})

test.each([
  ['null of a nullable type', { type: 'string', nullable: true }, 'null', true],
  ['null where nullable is false', { type: 'string', nullable: false }, 'null', false],
  ['null that an enum beside nullable does not list', { type: 'string', nullable: true, enum: ['a'] }, 'null', false],
  ['a URI beside a long maxLength', { type: 'string', format: 'uri', maxLength: 2083 }, '"https://example.com/a?b=c#d"', true],
  ['a number beyond uint8', { type: 'integer', format: 'uint8' }, '256', false],
  ['the last number of uint8', { type: 'integer', format: 'uint8' }, '255', true],
  ['the first number of uint8', { type: 'integer', format: 'uint8' }, '-1', false],
  ['a UUID of another version', { type: 'string', format: 'uuid4' }, '"6ba7b810-9dad-11d1-80b4-00c04fd430c8"', false],
  ['emoji counted as one each', { type: 'string', minLength: 2, maxLength: 2 }, '"😀\\ud83d\\ude00"', true],
] as const)('%s', (_, schema, text, isTaken) => {
  expect(accepts(compileSchema(schema as JsonRecord), text)).toBe(isTaken)
})

test.each([
  [{ nullable: true, allOf: [{ type: 'string' }] }, /`nullable` is not enforced without `type`/],
  [{ type: 'string', nullable: 'yes' }, /`nullable` is not a boolean/],
  [{ type: 'string', format: 'dattime' }, /`format` 'dattime' is not enforced/],
  [{ type: 'string', format: 'iri', pattern: '^a' }, /`format` 'iri' is not enforced/],
])('%j is refused by name', (schema, message) => {
  expect(() => compileSchema(schema)).toThrow(message)
})

const NESTED = { list: [1, { deep: [] }], text: 'a', empty: {} }
const NESTED_SCHEMA: JsonRecord = {
  type: 'object',
  properties: { list: { type: 'array', items: {} }, text: { type: 'string' }, empty: { type: 'object' } },
  required: ['list', 'text', 'empty'],
}

test.each([
  ['compact', JSON.stringify(NESTED)],
  ['json.dumps', '{"list": [1, {"deep": []}], "text": "a", "empty": {}}'],
  ['indented by 2', JSON.stringify(NESTED, null, 2)],
  ['indented by 4', JSON.stringify(NESTED, null, 4)],
  ['indented by tabs', JSON.stringify(NESTED, null, '\t')],
  ['indented with carriage returns', JSON.stringify(NESTED, null, 2).replaceAll('\n', '\r\n')],
])('JSON as printers write it is in the language: %s', (_, text) => {
  expect(accepts(compileSchema(NESTED_SCHEMA), text)).toBe(true)
  expect(accepts(compileSchema({}), text)).toBe(true)
})

test.each([
  '{ "a":  1}',
  '{"a" : 1}',
  '{"a": 1 , "b": 2}',
  '{  "a": 1}',
  '{"a":\t1}',
  '{\n\n"a": 1}',
  '{"a": \n1}',
  `{\n${' '.repeat(41)}"a": 1}`,
  ' {"a": 1}',
  '{"a": 1} ',
])('white space that fills a text is not: %j', (text) => {
  expect(accepts(compileSchema({ type: 'object' }), text)).toBe(false)
})
