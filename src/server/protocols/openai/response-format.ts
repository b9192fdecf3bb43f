/**
 * `response_format`: text, json_object and json_schema as OpenAI documents them; a `schema` beside `json_object` or in place of
 * `json_schema` as llama.cpp does; `regex` with `pattern` as Together does; `grammar` as Fireworks does.
 */
import type { JsonRecord, OutputFormat } from '#contract/generate'
import { type Fields, invalid } from '#server/fields'

const TYPES = ['text', 'json_object', 'json_schema', 'regex', 'grammar'] as const
const NAME = /^[a-zA-Z0-9_-]+$/
const MAX_DESCRIPTION_LENGTH = 16_384

export function readResponseFormat(fields: Fields): OutputFormat {
  const type = fields.word('type', TYPES)
  if (type === null) throw fields.missing('type')
  switch (type) {
    case 'text':
      fields.check({ type: 'read' })
      return { kind: 'text' }
    case 'json_object': {
      fields.check({ type: 'read', schema: 'read' })
      const schema = fields.record('schema')
      return schema === null ? { kind: 'json-object', whitespace: 'flexible' } : { kind: 'json-schema', schema, whitespace: 'flexible' }
    }
    case 'json_schema':
      return { kind: 'json-schema', schema: readSchema(fields), whitespace: 'flexible' }
    case 'regex':
      fields.check({ type: 'read', pattern: 'read' })
      return { kind: 'regex', pattern: fields.requiredText('pattern', { minLength: 1 }) }
    case 'grammar':
      fields.check({ type: 'read', grammar: 'read' })
      return { kind: 'grammar', source: fields.requiredText('grammar', { minLength: 1 }) }
  }
}

/** The schema is enforced whatever `strict` says. Its name and description are the caller's own. */
function readSchema(fields: Fields): JsonRecord {
  fields.check({ type: 'read', json_schema: 'read', schema: 'read' })
  const bare = fields.record('schema')
  const named = bare === null ? fields.requiredFields('json_schema') : fields.nestedFields('json_schema')
  if (named === null && bare !== null) return bare
  if (named === null || bare !== null) {
    throw invalid(fields.pathOf('schema'), `${fields.pathOf('json_schema')} and ${fields.pathOf('schema')} both hold a schema; give only one`)
  }
  named.check({ name: 'read', description: 'read', schema: 'read', strict: 'read' })
  const name = named.requiredText('name', { minLength: 1, maxLength: 64 })
  if (!NAME.test(name)) throw invalid(named.pathOf('name'), `${named.pathOf('name')} may hold letters, digits, underscores and dashes only`)
  named.text('description', { maxLength: MAX_DESCRIPTION_LENGTH })
  named.boolean('strict')
  const schema = named.record('schema')
  if (schema === null) throw named.missing('schema')
  return schema
}
