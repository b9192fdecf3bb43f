/** `system` and `messages`: turns of one role are one turn; tool results answer the calls right before them. */
import type { ChatMessage, ToolCall } from '#contract/generate'
import type { GuardContent } from '#contract/guardrail'
import { Fields, invalid, isJsonObject, typeMismatch, unsupported } from '#server/fields'
import type { DecodeContext } from '#server/operation'
import { type BlockKind, type MessageContent, readContent } from './read-blocks.ts'

const ROLES = ['user', 'assistant'] as const
type Role = (typeof ROLES)[number]

const BLOCK_KINDS: Readonly<Record<Role | 'system', readonly BlockKind[]>> = {
  user: ['text', 'guardContent', 'toolResult', 'cachePoint'],
  assistant: ['text', 'reasoningContent', 'toolUse', 'cachePoint'],
  system: ['text', 'guardContent', 'cachePoint'],
}

export interface Conversation {
  readonly messages: ChatMessage[]
  /** Of all guardContent blocks in order. */
  readonly guarded: readonly GuardContent[]
}

/** Text blocks are joined by a line break: templates see one string. */
export function readConversation(fields: Fields, context: DecodeContext): Conversation {
  const guarded: GuardContent[] = []
  const messages: ChatMessage[] = []
  if (fields.value('system') !== undefined && !isEmptyList(fields.value('system'))) {
    const system = readContent(fields, 'system', BLOCK_KINDS.system, context)
    guarded.push(...system.guarded)
    messages.push({ role: 'system', content: system.texts.join('\n'), ...markOf(system) })
  }
  const items = fields.list('messages', { minItems: 1, maxItems: context.limits.maxMessages })
  if (items === null) throw fields.missing('messages')
  let pending: readonly ToolCall[] = []
  let pendingPath = ''
  for (const [index, item] of items.entries()) {
    const { message, role } = readTurn(item, index)
    const content = readContent(message, 'content', BLOCK_KINDS[role], context)
    guarded.push(...content.guarded)
    messages.push(...answersOf(content, pending, pendingPath), ...turnOf(role, content))
    pending = content.toolCalls
    pendingPath = message.pathOf('content')
  }
  if (messages.at(-1)?.role === 'assistant') {
    const reason = 'the last message must not be of the assistant: continuing its text is not supported by this server'
    throw unsupported(`messages[${items.length - 1}].role`, reason)
  }
  return { messages: joinTurns(messages), guarded }
}

function readTurn(item: unknown, index: number): { readonly message: Fields; readonly role: Role } {
  const path = `messages[${index}]`
  if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
  const message = new Fields(item, path)
  message.check({ role: 'read', content: 'read' })
  const role = message.word('role', ROLES)
  if (role === null) throw message.missing('role')
  if (index === 0 && role !== 'user') throw invalid(message.pathOf('role'), 'a conversation must start with a message of the user')
  return { message, role }
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

function markOf({ cachePoint }: MessageContent): { readonly cachePoint?: true } {
  return cachePoint ? { cachePoint: true } : {}
}

/** Each pending call is answered exactly once, and nothing else is. */
function answersOf({ toolResults, cachePoint, texts }: MessageContent, pending: readonly ToolCall[], pendingPath: string): ChatMessage[] {
  const open = new Map(pending.map((call) => [call.id, call]))
  const answers = toolResults.map(({ path, toolUseId, text }, index): ChatMessage => {
    const call = open.get(toolUseId)
    if (call === undefined) throw invalid(path, `${path} must be the id of a toolUse block of the message before that has no result yet`)
    open.delete(toolUseId)
    const isLast = index === toolResults.length - 1 && texts.length === 0
    return { role: 'tool', content: text, toolCallId: toolUseId, name: call.name, ...(cachePoint && isLast ? { cachePoint: true as const } : {}) }
  })
  if (open.size > 0) throw invalid(pendingPath, `${pendingPath}: each toolUse block must have a toolResult block in the next message`)
  return answers
}

function turnOf(role: Role, content: MessageContent): ChatMessage[] {
  const { texts, thinking, toolCalls, toolResults } = content
  const text = texts.join('\n')
  if (role === 'user') return texts.length === 0 && toolResults.length > 0 ? [] : [{ role, content: text, ...markOf(content) }]
  const reasoning = thinking.join('\n')
  return [{ role, content: text, ...(reasoning === '' ? {} : { reasoning }), ...(toolCalls.length === 0 ? {} : { toolCalls }), ...markOf(content) }]
}

function joinTurns(messages: readonly ChatMessage[]): ChatMessage[] {
  const joined: ChatMessage[] = []
  for (const message of messages) {
    const before = joined.at(-1)
    const isPlain = (one: ChatMessage): boolean => one.role !== 'tool' && (one.role !== 'assistant' || (one.toolCalls ?? []).length === 0)
    if (before === undefined || before.role !== message.role || !isPlain(before) || !isPlain(message)) joined.push(message)
    else joined[joined.length - 1] = { ...before, ...message, content: `${before.content}\n${message.content}` }
  }
  return joined
}
