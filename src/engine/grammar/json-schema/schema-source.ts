/**
 * A JSON Schema document from a stranger: measured once, its anchors and `$id`s indexed, references resolved inside it. Nothing is ever
 * fetched. Keywords are read later and only where a schema is reached (`read-keywords.ts`).
 */
import type { JsonRecord, JsonValue } from '#contract/generate'
import type { Enforcement } from './enforcement.ts'
import { type GrammarLimits, refuseGrammar } from '../grammar-limits.ts'

/** One schema of the document. The same JSON value is always the same node. */
export interface SchemaNode {
  /** Dense from 0; the order in which nodes were reached. */
  readonly id: number
  /** JSON pointer from the root of the document, as its own text writes it: '' = the root. */
  readonly pointer: string
  readonly schema: JsonRecord | boolean
}

const ROOT_URI = 'schema://root/'
/** Their members are schemas by any name. */
const SCHEMA_MAPS = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas', 'dependencies'])
/** Their content is data and not schema. */
const DATA_KEYWORDS = new Set(['enum', 'const', 'default', 'examples', 'example'])

const DIALECTS: ReadonlyMap<string, 'draft-7' | '2020-12'> = new Map([
  ['http://json-schema.org/draft-06/schema', 'draft-7'],
  ['http://json-schema.org/draft-07/schema', 'draft-7'],
  ['https://json-schema.org/draft-07/schema', 'draft-7'],
  ['http://json-schema.org/schema', '2020-12'],
  ['https://json-schema.org/schema', '2020-12'],
  ['https://json-schema.org/draft/2019-09/schema', '2020-12'],
  ['https://json-schema.org/draft/2020-12/schema', '2020-12'],
])

interface Visit {
  readonly value: JsonValue
  readonly depth: number
  readonly pointer: string
  readonly baseUri: string
  /** What `value` is: a schema, a map of schemas by name, or neither. */
  readonly role: 'schema' | 'map' | 'data'
}

export class SchemaDocument {
  readonly root: SchemaNode
  /** Draft 7 and before: a schema with `$ref` has no other keyword. */
  readonly refHidesSiblings: boolean
  private readonly nodes = new Map<JsonRecord, SchemaNode>()
  private numNodes = 0
  /** By absolute URI, without an empty fragment. */
  private readonly byUri = new Map<string, JsonRecord>()
  private readonly pointers = new Map<JsonRecord, string>()
  private readonly baseUris = new Map<JsonRecord, string>()

  /** Throws InferdError when the document passes a limit or speaks a dialect that is not known. */
  constructor(schema: JsonValue, limits: GrammarLimits, enforcement: Enforcement) {
    if (typeof schema !== 'boolean' && !isRecord(schema)) throw refuseGrammar('a JSON schema is an object or a boolean')
    this.refHidesSiblings = typeof schema !== 'boolean' && dialectOf(schema, enforcement) === 'draft-7'
    this.index(schema, limits)
    this.root = this.nodeAt(schema, '')
  }

  /** Throws InferdError when `value` is no schema. */
  nodeAt(value: JsonValue, pointer: string): SchemaNode {
    if (typeof value === 'boolean') return { id: this.numNodes++, pointer, schema: value }
    if (!isRecord(value)) throw refuseGrammar('a schema is an object or a boolean', placeOf(pointer))
    let node = this.nodes.get(value)
    if (node === undefined) {
      node = { id: this.numNodes++, pointer: this.pointers.get(value) ?? pointer, schema: value }
      this.nodes.set(value, node)
    }
    return node
  }

  /** The schema that `reference` in `from` names. Throws InferdError when it lies outside of the document or nowhere. */
  resolve(from: SchemaNode, reference: string): SchemaNode {
    const place = placeOf(`${from.pointer}/$ref`)
    const baseUri = typeof from.schema === 'boolean' ? ROOT_URI : (this.baseUris.get(from.schema) ?? ROOT_URI)
    const uri = absoluteUri(reference, baseUri)
    if (uri === null) throw refuseGrammar('`$ref` is not a valid reference', place)
    const exact = this.byUri.get(uri)
    if (exact !== undefined) return this.nodeAt(exact, '')
    const hash = uri.indexOf('#')
    const resource = this.byUri.get(hash < 0 ? uri : uri.slice(0, hash))
    if (resource === undefined) throw refuseGrammar(`\`$ref\` names '${shown(reference)}', which is not in this document; nothing is fetched`, place)
    const fragment = decodeFragment(hash < 0 ? '' : uri.slice(hash + 1))
    if (fragment === null || !fragment.startsWith('/')) throw refuseGrammar(`\`$ref\` names '${shown(reference)}', which does not exist`, place)
    return this.nodeAt(follow(resource, fragment, reference, place), `${this.pointers.get(resource) ?? ''}${fragment}`)
  }

  private index(schema: JsonRecord | boolean, limits: GrammarLimits): void {
    let numBytes = 0
    const stack: Visit[] = [{ value: schema, depth: 0, pointer: '', baseUri: ROOT_URI, role: 'schema' }]
    for (let visit = stack.pop(); visit !== undefined; visit = stack.pop()) {
      const { value, depth, pointer } = visit
      if (depth > limits.maxDepth) throw refuseGrammar(`the schema is nested more than ${limits.maxDepth} deep`)
      numBytes += typeof value === 'string' ? Buffer.byteLength(value) + 2 : 4
      if (numBytes > limits.maxSourceBytes) throw refuseGrammar(`the schema is larger than ${limits.maxSourceBytes} bytes`)
      if (typeof value === 'number' && !Number.isFinite(value)) throw refuseGrammar('a number is too large for a double', placeOf(pointer))
      if (Array.isArray(value)) {
        value.forEach((item: JsonValue, position) => stack.push({ ...visit, value: item, depth: depth + 1, pointer: `${pointer}/${position}` }))
      } else if (isRecord(value)) {
        const baseUri = visit.role === 'schema' ? this.register(value, pointer, visit.baseUri) : visit.baseUri
        for (const [name, member] of Object.entries(value)) {
          numBytes += Buffer.byteLength(name) + 3
          stack.push({ value: member, depth: depth + 1, pointer: `${pointer}/${escapePointer(name)}`, baseUri, role: roleOf(visit.role, name) })
        }
      }
    }
  }

  /** Returns the base URI inside `schema`. */
  private register(schema: JsonRecord, pointer: string, outerUri: string): string {
    this.pointers.set(schema, pointer)
    let baseUri = outerUri
    if (pointer === '') this.byUri.set(ROOT_URI, schema)
    const isHidden = this.refHidesSiblings && own(schema, '$ref') !== undefined
    const id = isHidden ? undefined : own(schema, '$id')
    if (typeof id === 'string') {
      const uri = absoluteUri(id, outerUri)
      if (uri === null) throw refuseGrammar('`$id` is not a valid reference', placeOf(`${pointer}/$id`))
      this.byUri.set(uri, schema)
      if (!id.startsWith('#')) baseUri = uri.replace(/#.*$/, '')
    }
    for (const keyword of ['$anchor', '$dynamicAnchor']) {
      const anchor = own(schema, keyword)
      if (typeof anchor === 'string') this.byUri.set(`${baseUri}#${anchor}`, schema)
    }
    if (baseUri !== ROOT_URI) this.baseUris.set(schema, baseUri)
    return baseUri
  }
}

export function isRecord(value: JsonValue | undefined): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An own member, so that `constructor` and the like are absent unless they were written. */
export function own(record: JsonRecord, name: string): JsonValue | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

/** The place of a refusal. */
export function placeOf(pointer: string): string {
  return pointer === '' ? 'at the root' : `at ${shown(pointer)}`
}

export function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** A client's text in a message, cut. */
export function shown(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}...` : text
}

function roleOf(parent: Visit['role'], name: string): Visit['role'] {
  if (parent === 'map') return 'schema'
  if (parent === 'data' || DATA_KEYWORDS.has(name)) return 'data'
  return SCHEMA_MAPS.has(name) ? 'map' : 'schema'
}

function dialectOf(schema: JsonRecord, enforcement: Enforcement): 'draft-7' | '2020-12' {
  const uri = own(schema, '$schema')
  if (uri === undefined) return '2020-12'
  const dialect = typeof uri === 'string' ? DIALECTS.get(uri.replace(/#$/, '')) : undefined
  return dialect ?? enforcement.leaveOut('`$schema` is not draft 7 or 2020-12', placeOf('/$schema')) ?? '2020-12'
}

/** null when it is none. An empty fragment is dropped. */
function absoluteUri(reference: string, baseUri: string): string | null {
  return URL.parse(reference, baseUri)?.href.replace(/#$/, '') ?? null
}

function decodeFragment(fragment: string): string | null {
  try {
    return decodeURIComponent(fragment)
  } catch {
    return null
  }
}

function follow(resource: JsonRecord, fragment: string, reference: string, place: string): JsonValue {
  let value: JsonValue | undefined = resource
  for (const step of fragment.slice(1).split('/')) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
    if (Array.isArray(value)) value = /^(0|[1-9][0-9]{0,8})$/.test(name) ? (value as readonly JsonValue[])[Number(name)] : undefined
    else value = isRecord(value) ? own(value, name) : undefined
    if (value === undefined) throw refuseGrammar(`\`$ref\` names '${shown(reference)}', which does not exist`, place)
  }
  return value
}
