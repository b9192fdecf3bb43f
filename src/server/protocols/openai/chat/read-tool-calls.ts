/** `tool_calls` of an assistant message that is sent back. */
import type { ToolCall } from '#contract/generate'
import type { DecodeContext } from '#server/operation'
import { Fields, invalid, isJsonObject, typeMismatch, unsupported } from '#server/fields'
import { readFunctionName } from './tool-fields.ts'

export const MAX_CALL_ID_LENGTH = 256

/** Ids are unique within the message. */
export function readToolCalls(fields: Fields, { limits }: DecodeContext): readonly ToolCall[] {
  const items = fields.list('tool_calls', { maxItems: limits.maxToolCalls }) ?? []
  const calls = items.map((item, index) => readToolCall(item, index, `${fields.pathOf('tool_calls')}[${index}]`))
  const seen = new Set<string>()
  for (const [index, { id }] of calls.entries()) {
    const path = `${fields.pathOf('tool_calls')}[${index}].id`
    if (seen.has(id)) throw invalid(path, `${path} is the id of an earlier call of the same message`)
    seen.add(id)
  }
  return calls
}

/** `index` is what a call has in a stream: some clients keep it when they put the message together. */
function readToolCall(item: unknown, index: number, path: string): ToolCall {
  if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
  const fields = new Fields(item, path)
  const type = fields.value('type')
  if (type === undefined) throw fields.missing('type')
  if (type !== 'function')
    throw unsupported(fields.pathOf('type'), `${fields.pathOf('type')}: only calls of the type function are supported by this server`)
  fields.check({ id: 'read', type: 'read', function: 'read', index: (value) => value === index })
  const called = fields.requiredFields('function')
  called.check({ name: 'read', arguments: 'read' })
  return {
    id: fields.requiredText('id', { minLength: 1, maxLength: MAX_CALL_ID_LENGTH }),
    name: readFunctionName(called, 'name'),
    arguments: readArguments(called),
  }
}

/** OpenAI checks nothing here, and a call that was cut may be sent back. '' is what some clients make of a call without arguments. */
function readArguments(called: Fields): string {
  const text = called.requiredText('arguments')
  return text === '' ? '{}' : text
}
