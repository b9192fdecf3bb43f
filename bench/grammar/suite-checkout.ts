/** Reads a checkout of json-schema-org/JSON-Schema-Test-Suite: the schemas of one draft with their instances, numbers as they are written. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { JsonRecord, JsonValue } from '#contract/generate'

export const DRAFTS = ['draft7', 'draft2020-12'] as const
export type Draft = (typeof DRAFTS)[number]

/** Folders under the draft's: what every implementation must do, what it may leave out, and `format` as a constraint. */
export const PARTS = ['', 'optional', 'optional/format'] as const
export type Part = (typeof PARTS)[number]

/** A JSON value whose numbers keep the spelling of the file. */
export type Spelled = null | boolean | string | NumberSpelling | readonly Spelled[] | { readonly [name: string]: Spelled }

export class NumberSpelling {
  readonly source: string
  constructor(source: string) {
    this.source = source
  }
}

export interface SuiteCase {
  readonly description: string
  readonly data: Spelled
  readonly isValid: boolean
}

export interface SuiteSchema {
  readonly draft: Draft
  readonly part: Part
  /** File name without its ending. */
  readonly keyword: string
  readonly description: string
  readonly schema: JsonValue
  readonly cases: readonly SuiteCase[]
}

interface Group<Value> {
  readonly description: string
  readonly schema: JsonValue
  readonly tests: readonly { readonly description: string; readonly data: Value; readonly valid: boolean }[]
}

type Reviver = (this: unknown, name: string, value: unknown, context: { readonly source?: string }) => unknown

export function readSuite(checkout: string, draft: Draft, part: Part): SuiteSchema[] {
  const folder = path.join(checkout, 'tests', draft, part)
  const files = readdirSync(folder).filter((file) => file.endsWith('.json'))
  return files.toSorted().flatMap((file) => {
    const text = readFileSync(path.join(folder, file), 'utf8')
    const plain = JSON.parse(text) as Group<JsonValue>[]
    const spelled = (JSON.parse as (text: string, reviver: Reviver) => unknown)(text, keepSpelling) as Group<Spelled>[]
    return plain.map(({ description, schema }, index) => ({
      draft,
      part,
      keyword: path.basename(file, '.json'),
      description,
      schema: draft === 'draft7' ? asDraft7(schema) : schema,
      cases: spelled[index]!.tests.map((test) => ({ description: test.description, data: test.data, isValid: test.valid })),
    }))
  })
}

/** The commit that is checked out; the folder's name where git knows nothing of it. */
export function commitOf(checkout: string): string {
  try {
    return execFileSync('git', ['-C', checkout, 'rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return path.basename(checkout)
  }
}

/** The suite's schemas of draft 7 do not name their dialect. */
function asDraft7(schema: JsonValue): JsonValue {
  const isObject = typeof schema === 'object' && schema !== null && !Array.isArray(schema)
  return isObject && !Object.hasOwn(schema, '$schema') ? { $schema: 'http://json-schema.org/draft-07/schema#', ...(schema as JsonRecord) } : schema
}

const keepSpelling: Reviver = (_name, value, { source }) => (typeof value === 'number' && source !== undefined ? new NumberSpelling(source) : value)
