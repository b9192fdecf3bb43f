/** `input`: text, or items (message, function_call, function_call_output, reasoning, item_reference), each checked by itself. */
import type { ChatMessage, JsonRecord } from '#contract/generate'
import { readFunctionName } from '#server/protocols/openai/chat/tool-fields'
import { MAX_CALL_ID_LENGTH } from '#server/protocols/openai/chat/read-tool-calls'
import { type Fields, Fields as FieldsOf, isJsonObject, type FieldRules, invalid, typeMismatch, unsupported } from '#server/fields'
import type { ProtocolLimits } from '#server/operation'
import { inputItemId, type ItemKind } from './item-ids.ts'
import { readMessageContent, readOutputContent, readReasoningTexts } from './item-content.ts'
import { TurnBuilder } from './turn-builder.ts'

const ROLES = { user: 'user', assistant: 'assistant', system: 'system', developer: 'system' } as const
const isText = (value: unknown): boolean => typeof value === 'string'
/** What a received item carries and nobody reads. */
const LABELS = { id: isText, status: isText } as const

export interface InputArguments {
  readonly responseId: string
  readonly limits: ProtocolLimits
  /** What the turn continues. */
  readonly history: readonly ChatMessage[]
  /** An item of an earlier response; throws resource_not_found. */
  readonly resolveItem: (itemId: string, path: string) => Promise<JsonRecord>
}

export interface InputTurn {
  readonly messages: readonly ChatMessage[]
  /** As `input_items` lists them, ids filled in. */
  readonly items: readonly JsonRecord[]
}

/** The turn is not empty. */
export async function readInput(fields: Fields, args: InputArguments): Promise<InputTurn> {
  const value = fields.value('input')
  if (value === undefined) throw fields.missing('input')
  const builder = new TurnBuilder(args.history, 'previous_response_id')
  if (typeof value === 'string') {
    builder.addMessage('user', value)
    return { messages: builder.finish(), items: [listedMessage(args.responseId, 0, 'user', [{ type: 'input_text', text: value }])] }
  }
  const given = fields.list('input', { minItems: 1, maxItems: args.limits.maxMessages }) ?? []
  const items: JsonRecord[] = []
  for (const [index, item] of given.entries()) {
    const path = `input[${index}]`
    if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
    const resolved = await resolve(new FieldsOf(item, path), args)
    items.push(readItem(resolved ?? new FieldsOf(item, path), path, { builder, index, ...args }))
  }
  return { messages: builder.finish(), items }
}

/** The item that a reference names, in its place; null = it is none. */
async function resolve(item: Fields, { resolveItem }: InputArguments): Promise<Fields | null> {
  const type = item.value('type')
  const isReference = type === 'item_reference' || (type === undefined && item.value('role') === undefined && item.value('id') !== undefined)
  if (!isReference) return null
  item.check({ type: 'read', id: 'read' })
  const path = item.pathOf('id')
  return new FieldsOf(await resolveItem(item.requiredText('id', { minLength: 1, maxLength: 256 }), path), path.slice(0, -'.id'.length))
}

interface ItemContext extends InputArguments {
  readonly builder: TurnBuilder
  readonly index: number
}

function readItem(item: Fields, path: string, context: ItemContext): JsonRecord {
  const type = item.value('type') ?? 'message'
  switch (type) {
    case 'message':
      return readMessage(item, context)
    case 'function_call':
      return readCall(item, path, context)
    case 'function_call_output':
      return readOutput(item, path, context)
    case 'reasoning':
      return readReasoning(item, context)
    default:
      if (typeof type !== 'string') throw item.mismatch('type', 'a string', type)
      throw unsupported(`${path}.type`, `${path}.type: items of this type are not supported by this server`)
  }
}

function readMessage(item: Fields, { builder, index, responseId, limits }: ItemContext): JsonRecord {
  item.check({ ...LABELS, type: 'read', role: 'read', content: 'read', phase: isText })
  const value = item.value('role')
  if (value === undefined) throw item.missing('role')
  const role = item.word('role', ['user', 'assistant', 'system', 'developer']) ?? 'user'
  const { text, parts } = readMessageContent(item, ROLES[role] === 'assistant', limits)
  builder.addMessage(ROLES[role], text)
  return { ...listedMessage(responseId, index, role, parts), ...idOf(item) }
}

const CALL_RULES: FieldRules = { ...LABELS, type: 'read', call_id: 'read', name: 'read', arguments: 'read' }

function readCall(item: Fields, path: string, { builder, index, responseId }: ItemContext): JsonRecord {
  item.check(CALL_RULES)
  const id = readCallId(item)
  const name = readFunctionName(item, 'name')
  const argumentsText = item.requiredText('arguments')
  builder.addCall({ id, name, arguments: argumentsText === '' ? '{}' : argumentsText }, path)
  return { ...listed('fc', responseId, index), type: 'function_call', call_id: id, name, arguments: argumentsText, ...idOf(item) }
}

function readOutput(item: Fields, path: string, { builder, index, responseId, limits }: ItemContext): JsonRecord {
  item.check({ ...LABELS, type: 'read', call_id: 'read', output: 'read' })
  const callId = readCallId(item)
  const { text, output } = readOutputContent(item, limits)
  builder.addOutput(callId, text, path)
  return { ...listed('fco', responseId, index), type: 'function_call_output', call_id: callId, output, ...idOf(item) }
}

/** Its own text counts; without one, the summary. */
function readReasoning(item: Fields, { builder, index, responseId, limits }: ItemContext): JsonRecord {
  item.check({ ...LABELS, type: 'read', summary: 'read', content: 'read', encrypted_content: (value) => value === '' })
  const content = readReasoningTexts(item, 'content', 'reasoning_text', limits)
  const summary = readReasoningTexts(item, 'summary', 'summary_text', limits)
  const text = (content.length > 0 ? content : summary).join('\n')
  if (text !== '') builder.addReasoning(text)
  return {
    ...listed('rs', responseId, index),
    type: 'reasoning',
    summary: summary.map((one) => ({ type: 'summary_text', text: one })),
    content: content.map((one) => ({ type: 'reasoning_text', text: one })),
    ...idOf(item),
  }
}

function readCallId(item: Fields): string {
  const id = item.requiredText('call_id', { minLength: 1, maxLength: MAX_CALL_ID_LENGTH })
  if (id.trim() === '') throw invalid(item.pathOf('call_id'), `${item.pathOf('call_id')} must not be blank`)
  return id
}

function listedMessage(responseId: string, index: number, role: string, content: readonly JsonRecord[]): JsonRecord {
  return { ...listed('msg', responseId, index), type: 'message', role, content }
}

function listed(kind: ItemKind, responseId: string, index: number): JsonRecord {
  return { id: inputItemId(kind, responseId, index), status: 'completed' }
}

/** The caller's own id stays. */
function idOf(item: Fields): JsonRecord {
  const id = item.text('id', { maxLength: 256 })
  return id === null || id === '' ? {} : { id }
}
