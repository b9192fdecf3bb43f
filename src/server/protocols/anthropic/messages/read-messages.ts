/** `system` and `messages`: turns of one role are one turn; tool results answer the calls right before them. */
import type { ChatMessage, ToolCall } from '#contract/generate'
import { Fields, invalid, isJsonObject, typeMismatch, unsupported } from '#server/fields'
import type { DecodeContext } from '#server/operation'
import { readContent, type MessageContent } from './read-blocks.ts'

const ROLES = ['user', 'assistant', 'system'] as const
type Role = (typeof ROLES)[number]

const BLOCK_TYPES: Readonly<Record<Role, readonly string[]>> = {
  user: ['text', 'tool_result'],
  assistant: ['text', 'thinking', 'tool_use'],
  system: ['text'],
}

/** Text blocks are joined by a line break: templates see one string. */
export function readMessages(fields: Fields, context: DecodeContext): ChatMessage[] {
  const items = fields.list('messages', { minItems: 1, maxItems: context.limits.maxMessages })
  if (items === null) throw fields.missing('messages')
  const messages: ChatMessage[] = []
  let pending: readonly ToolCall[] = []
  let pendingPath = ''
  for (const [index, item] of items.entries()) {
    const path = `messages[${index}]`
    if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
    const message = new Fields(item, path)
    message.check({ role: 'read', content: 'read' })
    const role = message.word('role', ROLES)
    if (role === null) throw message.missing('role')
    const content = readContent(message, 'content', BLOCK_TYPES[role], context)
    messages.push(...answersOf(content, pending, pendingPath))
    messages.push(...turnOf(role, content))
    pending = content.toolCalls
    pendingPath = message.pathOf('content')
  }
  const last = messages.at(-1)
  if (last?.role === 'assistant') {
    const reason = 'the last message must not be of the assistant: continuing its text is not supported by this server'
    throw unsupported(`messages[${items.length - 1}].role`, reason)
  }
  if (last?.role === 'system') throw invalid('messages', 'messages must hold a message of the user')
  return joinTurns(messages)
}

export function readSystem(fields: Fields, context: DecodeContext): ChatMessage | null {
  if (fields.value('system') === undefined) return null
  const { texts, cachePoint } = readContent(fields, 'system', ['text'], context)
  return { role: 'system', content: texts.join('\n'), ...(cachePoint ? { cachePoint } : {}) }
}

/** Each pending call is answered exactly once, and nothing else is. */
function answersOf({ toolResults, cachePoint, texts }: MessageContent, pending: readonly ToolCall[], pendingPath: string): ChatMessage[] {
  const open = new Map(pending.map((call) => [call.id, call]))
  const answers = toolResults.map(({ fields, toolUseId, text }, index): ChatMessage => {
    const call = open.get(toolUseId)
    const path = fields.pathOf('tool_use_id')
    if (call === undefined) throw invalid(path, `${path} must be the id of a tool_use block of the message before that has no result yet`)
    open.delete(toolUseId)
    const isLast = index === toolResults.length - 1 && texts.length === 0
    return { role: 'tool', content: text, toolCallId: toolUseId, name: call.name, ...(cachePoint && isLast ? { cachePoint: true as const } : {}) }
  })
  if (open.size > 0) throw invalid(pendingPath, `${pendingPath}: each tool_use block must have a tool_result block in the next message`)
  return answers
}

function turnOf(role: Role, { texts, thinking, toolCalls, toolResults, cachePoint }: MessageContent): ChatMessage[] {
  const mark = cachePoint ? ({ cachePoint: true } as const) : {}
  const content = texts.join('\n')
  if (role !== 'assistant') return texts.length === 0 && toolResults.length > 0 ? [] : [{ role, content, ...mark }]
  const reasoning = thinking.join('\n')
  return [{ role, content, ...(reasoning === '' ? {} : { reasoning }), ...(toolCalls.length === 0 ? {} : { toolCalls }), ...mark }]
}

/** "Consecutive user or assistant turns in your request will be combined into a single turn." (Messages API reference) */
function joinTurns(messages: readonly ChatMessage[]): ChatMessage[] {
  const joined: ChatMessage[] = []
  for (const message of messages) {
    const before = joined.at(-1)
    const isPlain = (one: ChatMessage): boolean => one.role !== 'tool' && (one.role !== 'assistant' || (one.toolCalls ?? []).length === 0)
    if (before === undefined || before.role !== message.role || !isPlain(before) || !isPlain(message)) joined.push(message)
    else joined[joined.length - 1] = { ...before, ...message, ...joinThoughts(before, message), content: `${before.content}\n${message.content}` }
  }
  return joined
}

function joinThoughts(...turns: readonly ChatMessage[]): { readonly reasoning?: string } {
  const thoughts = turns.flatMap((turn) => (turn.role === 'assistant' && turn.reasoning !== undefined ? [turn.reasoning] : []))
  return thoughts.length === 0 ? {} : { reasoning: thoughts.join('\n') }
}
