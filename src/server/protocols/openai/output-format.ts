/**
 * The fields by which a caller asks for a format: OpenAI's `response_format`, and those of vLLM (`structured_outputs`, `guided_*`)
 * and llama.cpp (`grammar`, `json_schema`). At most one of them may ask.
 */
import type { JsonRecord, JsonWhitespace, OutputFormat } from '#contract/generate'
import type { DecodeContext } from '#server/operation'
import { type FieldRules, type Fields, invalid, isJsonObject, typeMismatch, unsupported } from '#server/fields'
import { parseJsonText } from '#server/json-text'
import { readResponseFormat } from './response-format.ts'

export interface FormatChoice {
  readonly format: OutputFormat
  /** The field that asked; of a request for plain text, the one that might have. */
  readonly field: string
}

type FormatReader = (fields: Fields, key: string, context: DecodeContext) => FormatChoice

const READERS: Readonly<Record<string, FormatReader>> = {
  response_format: (fields, key) => ({ format: readResponseFormat(fields.requiredFields(key)), field: key }),
  structured_outputs: (fields, key, context) => readStructuredOutputs(fields.requiredFields(key), context),
  guided_json: (fields, key) => ({ format: readSchema(fields, key, 'flexible'), field: key }),
  guided_regex: (fields, key) => ({ format: { kind: 'regex', pattern: readSource(fields, key) }, field: key }),
  guided_choice: (fields, key, context) => ({ format: { kind: 'choice', choices: readChoices(fields, key, context) }, field: key }),
  guided_grammar: (fields, key) => ({ format: { kind: 'grammar', source: readSource(fields, key) }, field: key }),
  grammar: (fields, key) => ({ format: { kind: 'grammar', source: readSource(fields, key) }, field: key }),
  json_schema: (fields, key) => ({ format: readSchema(fields, key, 'flexible'), field: key }),
}

/** Rules of the fields read here, to be spread into an operation's own table. */
export const FORMAT_RULES = {
  response_format: 'read',
  structured_outputs: 'read',
  guided_json: 'read',
  guided_regex: 'read',
  guided_choice: 'read',
  guided_grammar: 'read',
  guided_whitespace_pattern: () => false,
  guided_decoding_backend: (value) => value === 'auto',
  grammar: 'read',
  json_schema: 'read',
} as const satisfies FieldRules

/** The neutral values of the switches of vLLM's `structured_outputs`; a white space pattern of one's own is not offered. */
const STRUCTURED_RULES = {
  json: 'read',
  json_object: 'read',
  regex: 'read',
  choice: 'read',
  grammar: 'read',
  disable_any_whitespace: 'read',
  disable_fallback: (value) => typeof value === 'boolean',
  disable_additional_properties: (value) => value === false,
  whitespace_pattern: () => false,
  structural_tag: () => false,
} as const satisfies FieldRules

export function readOutputFormat(fields: Fields, context: DecodeContext): FormatChoice {
  const asked = Object.entries(READERS).flatMap(([key, read]) => (fields.value(key) === undefined ? [] : [read(fields, key, context)]))
  const [first, second] = asked.filter(({ format }) => format.kind !== 'text')
  if (first !== undefined && second !== undefined) {
    throw invalid(second.field, `${first.field} and ${second.field} both ask for a format; give only one`)
  }
  return first ?? { format: { kind: 'text' }, field: 'response_format' }
}

function readStructuredOutputs(fields: Fields, context: DecodeContext): FormatChoice {
  fields.check(STRUCTURED_RULES)
  const kinds = ['json', 'json_object', 'regex', 'choice', 'grammar'].filter((key) => fields.value(key) !== undefined)
  const [kind, other] = kinds
  const path = fields.pathOf(kind ?? 'json')
  if (kind === undefined) throw invalid('structured_outputs', 'structured_outputs must have one of json, json_object, regex, choice, grammar')
  if (other !== undefined) throw invalid(fields.pathOf(other), `${path} and ${fields.pathOf(other)} both ask for a format; give only one`)
  const compact = fields.boolean('disable_any_whitespace') ?? false
  if (compact && kind !== 'json' && kind !== 'json_object') {
    throw invalid(fields.pathOf('disable_any_whitespace'), `${fields.pathOf('disable_any_whitespace')} is only allowed with json and json_object`)
  }
  const whitespace = compact ? 'none' : 'flexible'
  switch (kind) {
    case 'json':
      return { format: readSchema(fields, kind, whitespace), field: path }
    case 'json_object':
      if (fields.boolean(kind) !== true) throw unsupported(path, `${path} must be true; leave it out otherwise`)
      return { format: { kind: 'json-object', whitespace }, field: path }
    case 'regex':
      return { format: { kind: 'regex', pattern: readSource(fields, kind) }, field: path }
    case 'choice':
      return { format: { kind: 'choice', choices: readChoices(fields, kind, context) }, field: path }
    default:
      return { format: { kind: 'grammar', source: readSource(fields, kind) }, field: path }
  }
}

/** A schema as an object or as its JSON text. */
function readSchema(fields: Fields, key: string, whitespace: JsonWhitespace): OutputFormat {
  const value = fields.value(key)
  if (typeof value !== 'string') return { kind: 'json-schema', schema: schemaObject(value, fields.pathOf(key)), whitespace }
  return { kind: 'json-schema', schema: schemaObject(parseJsonText(value, fields.pathOf(key)), fields.pathOf(key)), whitespace }
}

function schemaObject(value: unknown, path: string): JsonRecord {
  if (!isJsonObject(value)) throw typeMismatch(path, 'a JSON schema as an object or as its JSON text', value)
  return value as JsonRecord
}

/** The text of a pattern or grammar; how long it may be the engine says, with what it costs. */
function readSource(fields: Fields, key: string): string {
  return fields.requiredText(key, { minLength: 1 })
}

function readChoices(fields: Fields, key: string, { limits }: DecodeContext): readonly string[] {
  const items = fields.list(key, { minItems: 1, maxItems: limits.maxFormatChoices }) ?? []
  return items.map((item, index) => {
    const path = `${fields.pathOf(key)}[${index}]`
    if (typeof item !== 'string') throw typeMismatch(path, 'a string', item)
    if (item === '') throw invalid(path, `${path} must not be empty`)
    return item
  })
}
