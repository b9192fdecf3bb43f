/** Schemas as clients send them: arguments of tools, forms, trees. Written for this benchmark. */
import type { JsonRecord } from '#contract/generate'

const TEXT = { type: 'string' } as const
const COUNT = { type: 'integer', minimum: 0 } as const
const NUM_COUNTRIES = 250
const NUM_FIELDS = 50

function object(properties: JsonRecord, required: readonly string[] = Object.keys(properties)): JsonRecord {
  return { type: 'object', properties, required, additionalProperties: false }
}

/** Names of regions, from the tables of the runtime. */
function countryNames(): string[] {
  const names = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' })
  const letters = Array.from({ length: 26 }, (_, index) => String.fromCharCode(65 + index))
  const all = letters.flatMap((first) => letters.map((second) => names.of(first + second)))
  return [...new Set(all.filter((name) => name !== undefined))].slice(0, NUM_COUNTRIES)
}

function formField(index: number): JsonRecord {
  const kinds: readonly JsonRecord[] = [
    { type: 'string', maxLength: 80 },
    { type: ['integer', 'null'] },
    { type: 'boolean' },
    { type: 'string', format: 'date' },
    { enum: ['low', 'medium', 'high', null] },
  ]
  return kinds[index % kinds.length]!
}

const ADDRESS = object({
  street: TEXT,
  city: TEXT,
  zip: { type: 'string', pattern: '^[0-9]{5}(-[0-9]{4})?$' },
  country: { type: 'string', minLength: 2, maxLength: 2 },
})
const MONEY = object({ amount: { type: 'number', minimum: 0 }, currency: { enum: ['EUR', 'USD', 'GBP', 'CHF'] } })

const WEATHER = object({ location: TEXT, unit: { enum: ['celsius', 'fahrenheit'] }, days: { type: 'integer', minimum: 1, maximum: 14 } }, [
  'location',
])

const CALENDAR_EVENT = object(
  {
    title: { type: 'string', maxLength: 200 },
    start: { type: 'string', format: 'date-time' },
    end: { type: 'string', format: 'date-time' },
    attendees: { type: 'array', items: object({ name: TEXT, email: { type: 'string', format: 'email' } }, ['email']), maxItems: 50 },
    location: TEXT,
    reminders: { type: 'array', items: { type: 'integer', minimum: 0, maximum: 40320 } },
    recurrence: { anyOf: [{ type: 'null' }, object({ every: { enum: ['day', 'week', 'month'] }, times: COUNT })] },
  },
  ['title', 'start', 'end'],
)

const SQL_QUERY = object(
  {
    database: { enum: ['sales', 'inventory', 'support'] },
    query: { type: 'string', minLength: 1 },
    parameters: { type: 'array', items: { type: ['string', 'number', 'boolean', 'null'] } },
    limit: { type: 'integer', minimum: 1, maximum: 10000 },
    timeoutMs: COUNT,
  },
  ['database', 'query'],
)

const GITHUB_ISSUE = object(
  {
    owner: { type: 'string', pattern: '^[A-Za-z0-9-]{1,39}$' },
    repo: { type: 'string', pattern: '^[A-Za-z0-9._-]{1,100}$' },
    title: { type: 'string', minLength: 1, maxLength: 256 },
    body: TEXT,
    labels: { type: 'array', items: TEXT, maxItems: 100 },
    assignees: { type: 'array', items: TEXT, maxItems: 10 },
    milestone: { type: ['integer', 'null'] },
  },
  ['owner', 'repo', 'title'],
)

const EMAIL = object(
  {
    to: { type: 'array', items: { type: 'string', format: 'email' }, minItems: 1 },
    cc: { type: 'array', items: { type: 'string', format: 'email' } },
    subject: { type: 'string', maxLength: 998 },
    body: TEXT,
    attachments: { type: 'array', items: object({ filename: TEXT, url: { type: 'string', format: 'uri' } }) },
  },
  ['to', 'subject', 'body'],
)

const SEARCH = object(
  {
    query: TEXT,
    filters: object(
      {
        category: { type: 'array', items: { enum: ['books', 'music', 'film', 'games'] } },
        minPrice: { type: 'number' },
        inStock: { type: 'boolean' },
      },
      [],
    ),
    sort: object({ by: { enum: ['relevance', 'price', 'rating', 'date'] }, descending: { type: 'boolean' } }),
    page: { type: 'integer', minimum: 1 },
    pageSize: { type: 'integer', minimum: 1, maximum: 100 },
  },
  ['query'],
)

const ORDER_FORM = object({
  orderId: { type: 'string', format: 'uuid' },
  customer: object({ name: TEXT, billing: ADDRESS, shipping: { anyOf: [ADDRESS, { type: 'null' }] } }),
  lines: {
    type: 'array',
    minItems: 1,
    items: object({
      sku: { type: 'string', pattern: '^[A-Z]{3}-[0-9]{4,8}$' },
      quantity: { type: 'integer', minimum: 1, maximum: 999 },
      price: MONEY,
      options: { type: 'array', items: object({ name: TEXT, values: { type: 'array', items: TEXT, maxItems: 8 } }) },
    }),
  },
  total: MONEY,
})

const UI_TREE: JsonRecord = {
  $ref: '#/$defs/node',
  $defs: {
    node: object({
      type: { enum: ['div', 'button', 'header', 'section', 'field', 'form'] },
      label: TEXT,
      children: { type: 'array', items: { $ref: '#/$defs/node' } },
      attributes: { type: 'array', items: object({ name: TEXT, value: TEXT }) },
    }),
  },
}

/** As converters of API descriptions write it: references, integer formats, examples, maps. */
const OPENAPI: JsonRecord = {
  ...object({ pet: { $ref: '#/definitions/Pet' }, dryRun: { type: 'boolean', default: false } }, ['pet']),
  'x-operation': 'createPet',
  definitions: {
    Pet: {
      type: 'object',
      title: 'Pet',
      properties: {
        id: { type: 'integer', format: 'int64', readOnly: true },
        name: { type: 'string', example: 'Rex' },
        status: { type: 'string', enum: ['available', 'pending', 'sold'], description: 'in the store' },
        category: { $ref: '#/definitions/Category' },
        photoUrls: { type: 'array', items: { type: 'string', format: 'uri' } },
        tags: { type: 'array', items: { $ref: '#/definitions/Tag' } },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
      },
      required: ['name', 'photoUrls'],
    },
    Category: object({ id: { type: 'integer', format: 'int64' }, name: TEXT }, []),
    Tag: object({ id: { type: 'integer', format: 'int64' }, name: TEXT }, []),
  },
}

const UNIONS = object({
  steps: {
    type: 'array',
    items: {
      oneOf: [
        object({ kind: { const: 'click' }, selector: TEXT, button: { enum: ['left', 'right'] } }),
        object({ kind: { const: 'type' }, selector: TEXT, text: { type: 'string', maxLength: 1000 } }),
        object({ kind: { const: 'wait' }, ms: { type: 'integer', minimum: 0, maximum: 60000 } }),
        object({ kind: { const: 'navigate' }, url: { type: 'string', format: 'uri' } }),
        object({ kind: { const: 'assert' }, selector: TEXT, expected: { anyOf: [TEXT, { type: 'number' }, { type: 'null' }] } }),
        object({
          kind: { const: 'shape' },
          shape: { anyOf: [object({ r: { type: 'number' } }), object({ w: { type: 'number' }, h: { type: 'number' } })] },
        }),
      ],
    },
  },
})

const FORM = object(Object.fromEntries(Array.from({ length: NUM_FIELDS }, (_, index) => [`field_${index}`, formField(index)])))
const OPTIONAL_FORM = object(Object.fromEntries(Array.from({ length: NUM_FIELDS }, (_, index) => [`field_${index}`, formField(index)])), [])

const LONG_TEXT = object({ title: { type: 'string', maxLength: 100 }, essay: { type: 'string', minLength: 100, maxLength: 4000 } })

const PATTERNS = object({
  email: { type: 'string', pattern: '^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\\.[a-zA-Z]{2,}$' },
  phone: { type: 'string', pattern: '^\\+?[0-9]{1,3}[ .-]?(\\([0-9]{1,4}\\)[ .-]?)?[0-9]{2,4}([ .-]?[0-9]{2,4}){1,4}$' },
  uuid: { type: 'string', pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' },
})

/** The first five are also one request's tools. */
export const TOOL_SCHEMAS: readonly (readonly [name: string, schema: JsonRecord])[] = [
  ['weather', WEATHER],
  ['calendar event', CALENDAR_EVENT],
  ['SQL query', SQL_QUERY],
  ['GitHub issue', GITHUB_ISSUE],
  ['e-mail', EMAIL],
  ['search with filters', SEARCH],
  ['order form, nested arrays', ORDER_FORM],
  ['recursive UI tree', UI_TREE],
  ['OpenAPI-like, references', OPENAPI],
  ['union of six kinds', UNIONS],
  ['form of 50 fields', FORM],
  ['form of 50 optional fields', OPTIONAL_FORM],
  ['enum of 250 countries', object({ country: { enum: countryNames() } })],
  ['strings to 4000', LONG_TEXT],
  ['patterns: e-mail, phone, UUID', PATTERNS],
]
