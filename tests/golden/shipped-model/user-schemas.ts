/** Schemas as users bring them: what zod, pydantic and people write for extraction, agents, forms and recursive data. */
import type { JsonRecord } from '#contract/generate'

const step: JsonRecord = {
  type: 'object',
  properties: { explanation: { type: 'string' }, output: { type: 'string', maxLength: 20 } },
  required: ['explanation', 'output'],
  additionalProperties: false,
}

function closed(properties: JsonRecord, required: readonly string[] = Object.keys(properties)): JsonRecord {
  return { type: 'object', properties, required, additionalProperties: false }
}

const name: JsonRecord = { type: 'string', minLength: 1, maxLength: 12 }

export const USER_SCHEMAS: Readonly<Record<string, JsonRecord>> = {
  'steps of a proof': closed({ steps: { type: 'array', items: step, minItems: 1, maxItems: 2 }, final_answer: { type: 'string' } }),
  'a linked list': {
    ...closed({ head: { $ref: '#/$defs/node' } }),
    $defs: { node: closed({ value: { type: 'integer' }, next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } }) },
  },
  'a user interface of itself': {
    ...closed({
      type: { type: 'string', enum: ['div', 'button', 'field'] },
      label: name,
      children: { type: 'array', items: { $ref: '#' }, maxItems: 2 },
    }),
  },
  'an event with people': closed({ name, date: { type: 'string', format: 'date' }, participants: { type: 'array', items: name, maxItems: 3 } }),
  'a verdict with its categories': closed({
    is_violating: { type: 'boolean' },
    category: { enum: ['violence', 'spam', null] },
    explanation: { type: ['string', 'null'], maxLength: 30 },
  }),
  'an invoice': closed({
    number: { type: 'string', pattern: '^INV-[0-9]{4}$' },
    total: { type: 'number', minimum: 0, maximum: 9999.99, multipleOf: 0.01 },
    currency: { enum: ['EUR', 'USD', '¥'] },
    lines: {
      type: 'array',
      items: closed({ sku: { type: 'string', pattern: '^[A-Z]{2}\\d{3}$' }, count: { type: 'integer', minimum: 1, maximum: 99 } }),
      minItems: 1,
      maxItems: 2,
    },
  }),
  'one of two pets': {
    type: 'object',
    oneOf: [
      closed({ kind: { const: 'cat' }, lives: { type: 'integer', minimum: 0, maximum: 9 } }),
      closed({ kind: { const: 'dog' }, tricks: { type: 'array', items: name, maxItems: 2 } }),
    ],
  },
  'optional settings': closed({ theme: { enum: ['dark', 'light'] }, size: { type: 'integer', minimum: 8, maximum: 72 }, font: name }, []),
  'a map of scores': {
    type: 'object',
    additionalProperties: { type: 'number', minimum: 0, maximum: 1 },
    propertyNames: { pattern: '^[a-z]{1,6}$' },
    maxProperties: 3,
  },
  'a place on earth': closed({
    type: { const: 'Point' },
    coordinates: {
      type: 'array',
      prefixItems: [
        { type: 'number', minimum: -180, maximum: 180 },
        { type: 'number', minimum: -90, maximum: 90 },
      ],
      items: false,
      minItems: 2,
    },
  }),
  'a colour': { type: 'string', pattern: '^#[0-9a-f]{6}$' },
  'a list of numbers': { type: 'array', items: { type: 'integer', minimum: -5, maximum: 1000 }, minItems: 3, maxItems: 6 },
  'true or nothing': { type: ['boolean', 'null'] },
  'names in other scripts': closed({ größe: { type: 'integer', minimum: 0 }, 名前: name, '😀': { enum: ['ja', '是', '🦊'] } }),
  'names that need escapes': closed({
    'a "quoted" key': { type: 'boolean' },
    'back\\slash': { const: 'line\nbreak' },
    constructor: { type: 'null' },
  }),
  'an address by country': {
    ...closed({ country: { enum: ['US', 'NL'] }, code: { type: 'string' } }),
    if: { properties: { country: { const: 'US' } }, required: ['country'] },
    // A keyword of JSON Schema.
    // oxlint-disable-next-line unicorn/no-thenable
    then: { properties: { code: { pattern: '^[0-9]{5}$' } } },
    else: { properties: { code: { pattern: '^[0-9]{4} [A-Z]{2}$' } } },
  },
  'an appointment': closed({
    id: { type: 'string', format: 'uuid' },
    at: { type: 'string', format: 'date-time' },
    host: { type: 'string', format: 'email' },
    from: { type: 'string', format: 'ipv4' },
  }),
  'a formula': {
    $ref: '#/$defs/term',
    $defs: {
      term: {
        anyOf: [
          { type: 'integer', minimum: 0, maximum: 9 },
          closed({ op: { enum: ['+', '*'] }, left: { $ref: '#/$defs/term' }, right: { $ref: '#/$defs/term' } }),
        ],
      },
    },
  },
  'a model of Python': {
    title: 'Hero',
    type: 'object',
    properties: {
      name: { title: 'Name', ...name },
      power: { anyOf: [{ $ref: '#/$defs/Power' }, { type: 'null' }], default: null },
      friends: { type: 'array', items: { $ref: '#/$defs/Power' }, default: [], maxItems: 2 },
    },
    required: ['name'],
    $defs: {
      Power: {
        title: 'Power',
        type: 'object',
        properties: { strength: { type: 'integer', exclusiveMinimum: 0, maximum: 100 } },
        required: ['strength'],
      },
    },
  },
  'any object at all': { type: 'object' },
}
