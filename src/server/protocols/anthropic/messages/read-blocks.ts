/** Content blocks of messages: text, thinking, tool_use, tool_result. Whatever else the API knows is refused by its path. */
import type { JsonRecord, ToolCall } from '#contract/generate'
import { checkItemCount, Fields, invalid, isJsonObject, typeMismatch, unsupported } from '#server/fields'
import type { DecodeContext } from '#server/operation'
import { signThinking } from '#server/protocols/anthropic/thinking-signature'
import { readCacheControl } from './cache-control.ts'
import { readToolName } from './tool-fields.ts'

export const MAX_CALL_ID_LENGTH = 256

export interface ToolResult {
  readonly fields: Fields
  readonly toolUseId: string
  readonly text: string
}

/** What the blocks of one message are, in their order of meaning. */
export interface MessageContent {
  readonly texts: readonly string[]
  readonly thinking: readonly string[]
  readonly toolCalls: readonly ToolCall[]
  readonly toolResults: readonly ToolResult[]
  readonly cachePoint: boolean
}

/** `types`: what this role may hold. */
export function readContent(fields: Fields, key: string, types: readonly string[], { limits }: DecodeContext): MessageContent {
  const value = fields.value(key)
  if (value === undefined) throw fields.missing(key)
  if (typeof value === 'string') return { texts: [value], thinking: [], toolCalls: [], toolResults: [], cachePoint: false }
  if (!Array.isArray(value)) throw fields.mismatch(key, 'a string or an array of content blocks', value)
  const path = fields.pathOf(key)
  checkItemCount(value, path, { minItems: 1, maxItems: limits.maxContentParts })
  const content = { texts: [] as string[], thinking: [] as string[], toolCalls: [] as ToolCall[], toolResults: [] as ToolResult[], cachePoint: false }
  for (const [index, item] of (value as readonly unknown[]).entries()) {
    const blockPath = `${path}[${index}]`
    if (!isJsonObject(item)) throw typeMismatch(blockPath, 'an object', item)
    const block = new Fields(item, blockPath)
    const type = readBlockType(block, types)
    if (type === 'text') content.texts.push(readText(block))
    else if (type === 'thinking') content.thinking.push(readThinking(block))
    else if (type === 'tool_use') content.toolCalls.push(readToolUse(block))
    else content.toolResults.push(readToolResult(block, limits.maxContentParts))
    if (readCacheControl(block)) content.cachePoint = true
  }
  checkUniqueIds(content.toolCalls, path)
  return content
}

function readBlockType(block: Fields, types: readonly string[]): string {
  const type = block.value('type')
  if (type === undefined) throw block.missing('type')
  if (typeof type !== 'string') throw block.mismatch('type', 'a string', type)
  if (types.includes(type)) return type
  throw unsupported(block.pathOf('type'), `${block.pathOf('type')}: blocks of this type are not supported here; use ${types.join(', ')}`)
}

function readText(block: Fields): string {
  block.check({ type: 'read', text: 'read', cache_control: 'read', citations: (value) => Array.isArray(value) && value.length === 0 })
  return block.requiredText('text')
}

/** The template decides what the model sees of earlier thoughts; altered ones are refused, as they are by the original. */
function readThinking(block: Fields): string {
  block.check({ type: 'read', thinking: 'read', signature: 'read' })
  const thinking = block.requiredText('thinking')
  if (block.requiredText('signature') !== signThinking(thinking)) {
    const path = block.pathOf('signature')
    throw invalid(path, `${path} does not belong to this thinking block: send blocks of this server back unaltered, or leave them out`)
  }
  return thinking
}

function readToolUse(block: Fields): ToolCall {
  block.check({ type: 'read', id: 'read', name: 'read', input: 'read', cache_control: 'read', caller: isDirect })
  const input: JsonRecord | null = block.record('input')
  if (input === null) throw block.missing('input')
  return {
    id: block.requiredText('id', { minLength: 1, maxLength: MAX_CALL_ID_LENGTH }),
    name: readToolName(block, 'name'),
    arguments: JSON.stringify(input),
  }
}

const isDirect = (value: unknown): boolean => isJsonObject(value) && value['type'] === 'direct'

function readToolResult(block: Fields, maxParts: number): ToolResult {
  block.check({ type: 'read', tool_use_id: 'read', content: 'read', is_error: 'read', cache_control: 'read' })
  const toolUseId = block.requiredText('tool_use_id', { minLength: 1, maxLength: MAX_CALL_ID_LENGTH })
  const text = block.value('content') === undefined ? '' : readResultText(block, maxParts)
  // Models know no flag for it: they are told in words.
  return { fields: block, toolUseId, text: block.boolean('is_error') === true ? `Error: ${text}` : text }
}

function readResultText(block: Fields, maxParts: number): string {
  const value = block.value('content')
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) throw block.mismatch('content', 'a string or an array of text blocks', value)
  checkItemCount(value, block.pathOf('content'), { maxItems: maxParts })
  return (value as readonly unknown[])
    .map((item, index) => {
      const path = `${block.pathOf('content')}[${index}]`
      if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
      const part = new Fields(item, path)
      readBlockType(part, ['text'])
      readCacheControl(part)
      return readText(part)
    })
    .join('\n')
}

function checkUniqueIds(calls: readonly ToolCall[], path: string): void {
  const seen = new Set<string>()
  for (const { id } of calls) {
    if (seen.has(id)) throw invalid(path, `${path}: two tool_use blocks have the same id`)
    seen.add(id)
  }
}
