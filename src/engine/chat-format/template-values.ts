/** What a template sees of a request: plain values in the form that chat templates expect, and how much of it there is. */
import { InferdError } from '#contract/errors'
import type { ChatMessage, JsonValue, RequestPlace, ToolCall, ToolDefinition } from '#contract/generate'

/** Nesting of arguments, schemas and variables. */
const MAX_VALUE_DEPTH = 64

/** Wrapped as clients of the OpenAI API send them, which is what templates print. */
export function templateTools(definitions: readonly ToolDefinition[]): readonly JsonValue[] {
  return definitions.map(({ name, description, parameters }) => ({
    type: 'function',
    function: { name, ...(description === null ? {} : { description }), parameters: parameters ?? { type: 'object', properties: {} } },
  }))
}

/** Fields that a message does not have are left out: templates ask whether they are there. */
export function templateMessage(message: ChatMessage): Readonly<Record<string, JsonValue>> {
  const { role, content } = message
  const named = message.name === undefined ? { role, content } : { role, content, name: message.name }
  if (message.role === 'tool') return { ...named, tool_call_id: message.toolCallId }
  if (message.role !== 'assistant') return named
  const { reasoning, toolCalls } = message
  return {
    ...named,
    ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
    ...(toolCalls === undefined || toolCalls.length === 0 ? {} : { tool_calls: toolCalls.map(templateCall) }),
  }
}

function templateCall({ id, name, arguments: written }: ToolCall): JsonValue {
  return { id, type: 'function', function: { name, arguments: parseArguments(written) } }
}

/** Parsed, as templates print arguments with tojson or member by member; text that is no JSON stays text. */
function parseArguments(written: string): JsonValue {
  try {
    return JSON.parse(written) as JsonValue
  } catch {
    return written
  }
}

/** Every value costs a template some fixed work. */
const SIZE_OF_VALUE = 32

/** UTF-16 units of all text in a value, keys included, and SIZE_OF_VALUE for each value. Throws InferdError when it is nested too deeply. */
export function templateSize(value: JsonValue, place: RequestPlace | 'messages', depth = 0): number {
  if (depth > MAX_VALUE_DEPTH) {
    throw new InferdError('invalid_parameter', `values are nested deeper than ${MAX_VALUE_DEPTH}`, { param: place })
  }
  if (typeof value === 'string') return value.length + SIZE_OF_VALUE
  if (typeof value !== 'object' || value === null) return SIZE_OF_VALUE
  let size = SIZE_OF_VALUE
  if (Array.isArray(value)) for (const item of value as readonly JsonValue[]) size += templateSize(item, place, depth + 1)
  else for (const [key, item] of Object.entries(value)) size += key.length + templateSize(item, place, depth + 1)
  return size
}
