/** Seeded JSON schemas, and values that satisfy them or nearly do. Names sort in the order in which a schema declares them. */
import type { SeededRandom } from '#base/random'
import type { JsonRecord, JsonValue } from '#contract/generate'

type Schema = Record<string, JsonValue>

const TEXTS = ['', 'a', 'ab', 'abc', 'hello world', 'naïve', '日本語', '"quoted"', 'back\\slash', 'line\nbreak', '\u0001', '😀', 'A1', 'zz9', 'x-y']
const PATTERNS: readonly (readonly [string, readonly string[]])[] = [
  ['^[a-z]+$', ['a', 'abc', 'zzz']],
  ['^[A-Z][0-9]{1,3}$', ['A1', 'Z999']],
  ['b', ['b', 'abc', '"b"']],
  ['^(foo|bar)', ['foo', 'barrel', 'foo bar']],
  ['^\\S+$', ['x', '日本語', 'a"b']],
  ['^(?!ab)[a-c]{2,4}$', ['ac', 'bcab', 'ccc']],
]
const FORMATS: readonly (readonly [string, readonly string[]])[] = [
  ['date', ['2024-02-29', '1999-12-31', '2023-02-29', '2023-13-01']],
  ['time', ['12:34:56Z', '23:59:59+02:00', '24:00:00Z', '12:34']],
  ['date-time', ['2024-02-29T12:34:56Z', '2024-02-29T12:34:56.123-05:30', '2024-02-29']],
  ['duration', ['P1D', 'PT1H30M', 'P1Y2M3DT4H5M6S', 'P2W', 'P', '1D']],
  ['email', ['a@b.co', 'first.last@example.org', 'a@b', '@b.co']],
  ['hostname', ['example.com', 'a-b.c', '-a.b', 'a..b']],
  ['ipv4', ['0.0.0.0', '255.1.20.199', '256.1.1.1', '1.2.3']],
  ['ipv6', ['::', '::1', '2001:db8::ff00:42:8329', '1:2:3:4:5:6:7:8', '1::2::3', '1:2']],
  ['uuid', ['123e4567-e89b-12d3-a456-426614174000', '123e4567e89b12d3a456426614174000']],
  ['uri', ['https://example.com/a?b=c#d', 'mailto:a@b.co', 'no scheme', '/relative']],
  ['json-pointer', ['', '/a/b', '/a~0b', 'a', '/~']],
]

export class SchemaCases {
  private readonly random: SeededRandom
  private numNames = 0

  constructor(random: SeededRandom) {
    this.random = random
  }

  next(): JsonRecord {
    this.numNames = 0
    const shared = this.scalar()
    const schema: Schema = this.random.nextInt(8) === 0 ? this.recursive() : { ...this.schema(3) }
    return { ...schema, $defs: { ...((schema.$defs as JsonRecord | undefined) ?? {}), shared } }
  }

  /** A value that the schema may hold. */
  value(schema: JsonValue, root: JsonRecord, depth = 0): JsonValue {
    if (typeof schema === 'boolean' || depth > 6) return this.anything()
    const record = schema as JsonRecord
    const { random } = this
    if (record['const'] !== undefined) return record['const']
    if (record['enum'] !== undefined) return this.pick(record['enum'] as readonly JsonValue[])
    if (record['$ref'] !== undefined) return this.value(resolve(root, record['$ref'] as string), root, depth + 1)
    let value: JsonValue = this.valueOfType(record, root, depth)
    for (const keyword of ['allOf', 'anyOf', 'oneOf']) {
      const parts = record[keyword] as readonly JsonValue[] | undefined
      if (parts === undefined) continue
      for (const part of keyword === 'allOf' ? parts : [this.pick(parts)]) value = merged(value, this.value(part, root, depth + 1))
    }
    for (const keyword of ['then', 'else']) {
      if (record[keyword] !== undefined && random.nextInt(2) === 0) value = merged(value, this.value(record[keyword], root, depth + 1))
    }
    return value
  }

  /** The value with one thing changed. */
  mutated(value: JsonValue): JsonValue {
    const { random } = this
    if (Array.isArray(value) && value.length > 0 && random.nextInt(3) > 0) {
      const items = [...(value as readonly JsonValue[])]
      const index = random.nextInt(items.length)
      if (random.nextInt(3) === 0) items.splice(index, 1)
      else if (random.nextInt(3) === 0) items.push(this.anything())
      else items[index] = this.mutated(items[index]!)
      return items
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value) && random.nextInt(4) > 0) {
      const entries = Object.entries(value)
      if (entries.length === 0 || random.nextInt(3) === 0) return Object.fromEntries([...entries, [`zz${random.nextInt(3)}`, this.anything()]])
      const index = random.nextInt(entries.length)
      if (random.nextInt(2) === 0) entries.splice(index, 1)
      else entries[index] = [entries[index]![0], this.mutated(entries[index]![1])]
      return Object.fromEntries(entries)
    }
    if (typeof value === 'number') return this.pick([value + 1, value - 1, value + 0.5, -value, value * 2])
    if (typeof value === 'string') return this.pick([`${value}x`, Array.from(value).slice(1).join(''), this.pick(TEXTS)])
    return this.anything()
  }

  private recursive(): Schema {
    const leaf = this.scalar()
    const node: Schema = {
      type: 'object',
      properties: { [this.name()]: leaf, [this.name()]: { type: 'array', items: { $ref: '#/$defs/node' }, maxItems: 2 } },
      additionalProperties: false,
    }
    if (this.random.nextInt(2) === 0) node.required = Object.keys(node.properties as JsonRecord).slice(0, 1)
    return { $ref: '#/$defs/node', $defs: { node } }
  }

  private schema(depth: number): Schema {
    switch (this.random.nextInt(depth > 0 ? 13 : 5)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return this.scalar()
      case 5:
      case 6:
      case 7:
        return this.object(depth - 1)
      case 8:
        return this.array(depth - 1)
      case 9:
        return { anyOf: [this.schema(depth - 1), this.schema(depth - 1)] }
      case 10:
        return this.conjunction(depth - 1)
      case 11:
        return this.tagged(depth - 1)
      default:
        return this.random.nextInt(2) === 0 ? { $ref: '#/$defs/shared' } : this.conditional(depth - 1)
    }
  }

  private scalar(): Schema {
    const { random } = this
    switch (random.nextInt(9)) {
      case 0:
        return { type: this.pick(['null', 'boolean']) }
      case 1:
        return { type: 'integer', ...this.range(1), ...(random.nextInt(3) === 0 ? { multipleOf: this.pick([2, 3, 7, 10]) } : {}) }
      case 2:
        return { type: 'number', ...this.range(this.pick([0.5, 0.01, 1])), ...(random.nextInt(5) === 0 ? { multipleOf: 0.25 } : {}) }
      case 3:
        return { type: ['string', 'null'], ...this.lengths('Length', 4) }
      case 4:
        return { type: 'string', pattern: this.pick(PATTERNS)[0], ...(random.nextInt(2) === 0 ? this.lengths('Length', 5) : {}) }
      case 5:
        return { type: 'string', format: this.pick(FORMATS)[0] }
      case 6:
        return { enum: Array.from({ length: 1 + random.nextInt(4) }, () => this.anything()) }
      case 7:
        return { const: this.anything() }
      default:
        return { type: ['string', 'integer'], not: { enum: [this.pick(TEXTS), random.nextInt(4)] } }
    }
  }

  private object(depth: number): Schema {
    const { random } = this
    const names = Array.from({ length: random.nextInt(5) }, () => this.name())
    const schema: Schema = { type: 'object', properties: Object.fromEntries(names.map((name) => [name, this.schema(depth)])) }
    const required = names.filter(() => random.nextInt(2) === 0)
    if (required.length > 0) schema.required = required
    if (random.nextInt(3) > 0) schema.additionalProperties = random.nextInt(2) === 0 ? false : this.schema(0)
    if (random.nextInt(5) === 0) schema.patternProperties = { '^zz1': this.schema(0) }
    if (random.nextInt(6) === 0) schema.propertyNames = { maxLength: 5 }
    if (random.nextInt(5) === 0) schema.maxProperties = random.nextInt(4)
    if (random.nextInt(5) === 0 && names.length > 1) schema.dependentRequired = { [names[0]!]: [names[1]!] }
    if (schema.additionalProperties === false && schema.patternProperties === undefined && random.nextInt(4) === 0)
      schema.minProperties = random.nextInt(3)
    return schema
  }

  private array(depth: number): Schema {
    const { random } = this
    const schema: Schema = { type: 'array', ...this.lengths('Items', 4) }
    if (random.nextInt(4) > 0) schema.items = this.schema(depth)
    if (random.nextInt(4) === 0) schema.prefixItems = Array.from({ length: 1 + random.nextInt(2) }, () => this.schema(depth))
    else if (random.nextInt(4) === 0) {
      schema.contains = { type: this.pick(['string', 'null', 'boolean']) }
      if (random.nextInt(2) === 0) schema.minContains = random.nextInt(3)
      if (random.nextInt(2) === 0) schema.maxContains = 1 + random.nextInt(3)
    }
    return schema
  }

  private conjunction(depth: number): Schema {
    const parts = [this.object(depth), this.object(depth)]
    if (this.random.nextInt(2) === 0) return { allOf: parts }
    return { ...parts[0]!, anyOf: [parts[1]!, { type: 'object', required: [this.pick(['y1', 'y2'])] }] }
  }

  private tagged(depth: number): Schema {
    const tag = this.name()
    const branches = ['one', 'two', 'three'].map((value) => {
      const branch = this.object(depth)
      return { ...branch, properties: { [tag]: { const: value }, ...(branch.properties as JsonRecord) }, required: [tag] }
    })
    return { oneOf: branches }
  }

  private conditional(depth: number): Schema {
    const [tag, other] = [this.name(), this.name()]
    return {
      type: 'object',
      properties: { [tag]: { enum: ['one', 'two', 3] }, [other]: true },
      required: this.random.nextInt(2) === 0 ? [tag] : [],
      if: { properties: { [tag]: { const: 'one' } }, required: [tag] },
      then: { properties: { [other]: this.schema(depth) }, required: [other] },
      else: { properties: { [other]: this.schema(0) } },
    }
  }

  private valueOfType(schema: JsonRecord, root: JsonRecord, depth: number): JsonValue {
    const { random } = this
    const type = Array.isArray(schema['type']) ? this.pick(schema['type'] as readonly string[]) : schema['type']
    switch (type) {
      case 'null':
        return null
      case 'boolean':
        return random.nextInt(2) === 0
      case 'integer':
        return random.nextInt(30) - 10
      case 'number':
        return (random.nextInt(200) - 80) / this.pick([1, 4, 10, 100])
      case 'string':
        return this.textOf(schema)
      case 'object':
        return this.objectOf(schema, root, depth)
      case 'array': {
        const prefix = (schema['prefixItems'] ?? []) as readonly JsonValue[]
        return Array.from({ length: random.nextInt(5) }, (_, index) =>
          schema['contains'] !== undefined && random.nextInt(2) === 0
            ? this.value(schema['contains'], root, depth + 1)
            : this.value(prefix[index] ?? schema['items'] ?? true, root, depth + 1),
        )
      }
      default:
        return schema['anyOf'] === undefined && schema['oneOf'] === undefined && schema['allOf'] === undefined ? this.anything() : {}
    }
  }

  private textOf(schema: JsonRecord): string {
    const known = [...PATTERNS, ...FORMATS].find(([name]) => name === (schema['pattern'] ?? schema['format']))
    return known !== undefined && this.random.nextInt(4) > 0 ? this.pick(known[1]) : this.pick(TEXTS)
  }

  private objectOf(schema: JsonRecord, root: JsonRecord, depth: number): JsonValue {
    const required = (schema['required'] ?? []) as readonly string[]
    const entries: [string, JsonValue][] = []
    for (const [name, member] of Object.entries((schema['properties'] ?? {}) as JsonRecord)) {
      if (required.includes(name) || this.random.nextInt(2) === 0) entries.push([name, this.value(member, root, depth + 1)])
    }
    for (const name of required) if (!entries.some(([other]) => other === name)) entries.push([name, this.anything()])
    if (this.random.nextInt(3) === 0 && schema['additionalProperties'] !== false) {
      entries.push(['zz5', this.value(schema['additionalProperties'] ?? true, root, depth + 1)])
    }
    return Object.fromEntries(entries)
  }

  private range(unit: number): Schema {
    const { random } = this
    const low = (random.nextInt(40) - 20) * unit
    const range: Schema = {}
    if (random.nextInt(2) === 0) range[this.pick(['minimum', 'exclusiveMinimum'])] = low
    if (random.nextInt(2) === 0) range[this.pick(['maximum', 'exclusiveMaximum'])] = low + random.nextInt(50) * unit
    return range
  }

  private lengths(unit: 'Length' | 'Items', most: number): Schema {
    const { random } = this
    const min = random.nextInt(3)
    const lengths: Schema = {}
    if (random.nextInt(2) === 0) lengths[`min${unit}`] = min
    if (random.nextInt(2) === 0) lengths[`max${unit}`] = min + random.nextInt(most)
    return lengths
  }

  /** In the order of the code units, behind all names before it. */
  private name(): string {
    return `b${String(this.numNames++).padStart(3, '0')}${this.pick(['', 'é', ' "q"'])}`
  }

  private anything(): JsonValue {
    return this.pick([null, true, false, 0, 1, 3, -7, 2.5, 'a', 'abc', '"', [], {}, [1, 'a'], { zz1: 1 }, ...TEXTS])
  }

  private pick<Item>(items: readonly Item[]): Item {
    return items[this.random.nextInt(items.length)]!
  }
}

/** Keys in the order of code units, at every depth. */
export function sortedKeys(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map(sortedKeys)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([name, member]): [string, JsonValue] => [name, sortedKeys(member)])
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function merged(a: JsonValue, b: JsonValue): JsonValue {
  const isObject = (value: JsonValue): value is JsonRecord => typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject(a) && isObject(b) ? { ...a, ...b } : b
}

function resolve(root: JsonRecord, reference: string): JsonValue {
  return (root['$defs'] as JsonRecord)[reference.replace('#/$defs/', '')]!
}
