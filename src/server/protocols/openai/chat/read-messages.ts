/** `messages`: each message by itself, and that tool results answer the calls before them. */
import type { ChatMessage } from '#contract/generate'
import type { DecodeContext } from '#server/operation'
import { checkItemCount, type FieldRules, Fields, invalid, isJsonObject, typeMismatch, unsupported } from '#server/fields'
import { PendingCalls } from './pending-calls.ts'
import { readToolCalls } from './read-tool-calls.ts'

type Role = ChatMessage['role']

const ROLES: Readonly<Record<string, Role>> = { system: 'system', developer: 'system', user: 'user', assistant: 'assistant', tool: 'tool' }
const MAX_NAME_LENGTH = 64

const isEmptyList = (value: unknown): boolean => Array.isArray(value) && value.length === 0

/** What clients send back of a message they received is accepted while it is empty. */
const ANY_ROLE = {
  role: 'read',
  content: 'read',
  name: 'read',
  refusal: () => false,
  annotations: isEmptyList,
  function_call: () => false,
  audio: () => false,
} as const
const PLAIN_RULES: FieldRules = { ...ANY_ROLE, tool_calls: isEmptyList, tool_call_id: () => false }

const RULES: Readonly<Record<Role, FieldRules>> = {
  system: PLAIN_RULES,
  user: PLAIN_RULES,
  assistant: { ...ANY_ROLE, tool_calls: 'read', tool_call_id: () => false, reasoning_content: 'read', reasoning: 'read' },
  tool: { ...ANY_ROLE, tool_calls: isEmptyList, tool_call_id: 'read' },
}

export function readMessages(fields: Fields, context: DecodeContext): ChatMessage[] {
  const items = fields.list('messages', { minItems: 1, maxItems: context.limits.maxMessages })
  if (items === null) throw fields.missing('messages')
  const pending = new PendingCalls()
  const messages = items.map((item, index) => {
    const path = `messages[${index}]`
    if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
    return readMessage(new Fields(item, path), pending, context)
  })
  pending.close()
  return messages
}

function readMessage(fields: Fields, pending: PendingCalls, context: DecodeContext): ChatMessage {
  const role = readRole(fields)
  fields.check(RULES[role])
  const name = fields.text('name', { minLength: 1, maxLength: MAX_NAME_LENGTH })
  if (role === 'tool') {
    const call = pending.answer(fields)
    return { role, content: readContent(fields, context), toolCallId: call.id, name: name ?? call.name }
  }
  pending.close()
  const named = name === null ? {} : { name }
  if (role !== 'assistant') return { role, content: readContent(fields, context), ...named }
  const toolCalls = readToolCalls(fields, context)
  pending.open(fields, toolCalls)
  const reasoning = readThoughts(fields)
  const content = fields.value('content') === undefined && toolCalls.length > 0 ? '' : readContent(fields, context)
  return { role, content, ...named, ...(reasoning === null ? {} : { reasoning }), ...(toolCalls.length === 0 ? {} : { toolCalls }) }
}

function readRole(fields: Fields): Role {
  const value = fields.value('role')
  if (value === undefined) throw fields.missing('role')
  if (typeof value !== 'string') throw fields.mismatch('role', 'a string', value)
  const role = Object.hasOwn(ROLES, value) ? ROLES[value] : undefined
  if (role !== undefined) return role
  const param = fields.pathOf('role')
  if (value === 'function')
    throw unsupported(param, `${param}: messages of the role 'function' are deprecated and not supported by this server; use 'tool'`)
  throw invalid(param, `${param} must be one of ${Object.keys(ROLES).join(', ')}`)
}

/** What the model thought: `reasoning_content` as DeepSeek named it and this server sends it, `reasoning` as vLLM and OpenRouter do. */
function readThoughts(fields: Fields): string | null {
  const ours = fields.text('reasoning_content')
  const theirs = fields.text('reasoning')
  if (ours !== null && theirs !== null && ours !== theirs) {
    throw invalid(fields.pathOf('reasoning'), `${fields.pathOf('reasoning')} and ${fields.pathOf('reasoning_content')} must agree when both are set`)
  }
  const thoughts = ours ?? theirs
  return thoughts === '' ? null : thoughts
}

/** Text parts are joined by a line break: templates see one string. */
function readContent(fields: Fields, { limits }: DecodeContext): string {
  const value = fields.value('content')
  if (typeof value === 'string') return value
  if (value === undefined) throw fields.missing('content')
  if (!Array.isArray(value)) throw fields.mismatch('content', 'a string or an array of text parts', value)
  const parts: readonly unknown[] = value
  const path = fields.pathOf('content')
  checkItemCount(parts, path, { minItems: 1, maxItems: limits.maxContentParts })
  return parts.map((part, index) => readTextPart(part, `${path}[${index}]`)).join('\n')
}

function readTextPart(part: unknown, path: string): string {
  if (!isJsonObject(part)) throw typeMismatch(path, 'an object', part)
  const fields = new Fields(part, path)
  const kind = fields.value('type')
  if (kind === undefined) throw fields.missing('type')
  if (kind !== 'text') throw unsupported(fields.pathOf('type'), `${fields.pathOf('type')}: only text parts are supported by this server`)
  fields.check({ type: 'read', text: 'read' })
  const text = fields.value('text')
  if (text === undefined) throw fields.missing('text')
  if (typeof text !== 'string') throw fields.mismatch('text', 'a string', text)
  return text
}
