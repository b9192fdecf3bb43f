/** `text`: the format of the answer. A schema is enforced whatever `strict` says. */
import type { JsonRecord, OutputFormat } from '#contract/generate'
import { type Fields, invalid } from '#server/fields'

export interface TextFields {
  readonly format: OutputFormat
  /** As the answer repeats it. */
  readonly echo: JsonRecord
}

const NAME = /^[a-zA-Z0-9_-]+$/
const MAX_DESCRIPTION_LENGTH = 16_384
const PLAIN: TextFields = { format: { kind: 'text' }, echo: { type: 'text' } }

export function readTextFields(fields: Fields): TextFields {
  const text = fields.nestedFields('text')
  if (text === null) return PLAIN
  text.check({ format: 'read', verbosity: (value) => value === 'medium' })
  const format = text.nestedFields('format')
  if (format === null) return PLAIN
  const type = format.word('type', ['text', 'json_object', 'json_schema'])
  if (type === null) throw format.missing('type')
  if (type === 'json_schema') return readSchema(format)
  format.check({ type: 'read' })
  return type === 'text' ? PLAIN : { format: { kind: 'json-object', whitespace: 'flexible' }, echo: { type } }
}

function readSchema(format: Fields): TextFields {
  format.check({ type: 'read', name: 'read', description: 'read', schema: 'read', strict: 'read' })
  const name = format.requiredText('name', { minLength: 1, maxLength: 64 })
  if (!NAME.test(name)) throw invalid(format.pathOf('name'), `${format.pathOf('name')} may hold letters, digits, underscores and dashes only`)
  const description = format.text('description', { maxLength: MAX_DESCRIPTION_LENGTH })
  const strict = format.boolean('strict')
  const schema = format.record('schema')
  if (schema === null) throw format.missing('schema')
  return {
    format: { kind: 'json-schema', schema, whitespace: 'flexible' },
    echo: { type: 'json_schema', name, schema, strict, ...(description === null ? {} : { description }) },
  }
}
