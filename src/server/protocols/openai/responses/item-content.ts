/** The text inside of items. Images, files and audio are refused by their place; nothing is ever fetched. */
import type { JsonRecord } from '#contract/generate'
import { checkItemCount, type FieldRules, Fields, isJsonObject, typeMismatch, unsupported } from '#server/fields'
import type { ProtocolLimits } from '#server/operation'

const isList = (value: unknown): boolean => Array.isArray(value)

/** What parts may carry beside their text. */
const TEXT_RULES: FieldRules = { type: 'read', text: 'read', annotations: isList, logprobs: isList }
const REFUSAL_RULES: FieldRules = { type: 'read', refusal: 'read' }

export interface MessageContent {
  /** Parts are joined by a line break: templates see one string. */
  readonly text: string
  readonly parts: readonly JsonRecord[]
}

export function readMessageContent(item: Fields, isAssistant: boolean, limits: ProtocolLimits): MessageContent {
  const value = item.value('content')
  const type = isAssistant ? 'output_text' : 'input_text'
  if (value === undefined) throw item.missing('content')
  const extra = isAssistant ? { annotations: [] } : {}
  if (typeof value === 'string') return { text: value, parts: [{ type, text: value, ...extra }] }
  if (!Array.isArray(value)) throw item.mismatch('content', 'a string or an array of text parts', value)
  const texts = readParts(value, item.pathOf('content'), isAssistant ? ['output_text', 'input_text', 'refusal'] : ['input_text'], limits)
  return { text: texts.join('\n'), parts: texts.map((text) => ({ type, text, ...extra })) }
}

/** What a function gave: text, or parts of text. */
export function readOutputContent(item: Fields, limits: ProtocolLimits): { readonly text: string; readonly output: string | readonly JsonRecord[] } {
  const value = item.value('output')
  if (value === undefined) throw item.missing('output')
  if (typeof value === 'string') return { text: value, output: value }
  if (!Array.isArray(value)) throw item.mismatch('output', 'a string or an array of text parts', value)
  const texts = readParts(value, item.pathOf('output'), ['input_text'], limits)
  return { text: texts.join('\n'), output: texts.map((text) => ({ type: 'input_text', text })) }
}

export function readReasoningTexts(item: Fields, key: 'content' | 'summary', type: string, limits: ProtocolLimits): readonly string[] {
  const parts = item.list(key, { maxItems: limits.maxContentParts }) ?? []
  return parts.length === 0 ? [] : readParts(parts, item.pathOf(key), [type], limits)
}

function readParts(parts: readonly unknown[], path: string, types: readonly string[], { maxContentParts }: ProtocolLimits): readonly string[] {
  checkItemCount(parts, path, { minItems: 1, maxItems: maxContentParts })
  return parts.map((part, index) => readPart(part, `${path}[${index}]`, types))
}

function readPart(part: unknown, path: string, types: readonly string[]): string {
  if (!isJsonObject(part)) throw typeMismatch(path, 'an object', part)
  const fields = new Fields(part, path)
  const type = fields.value('type')
  if (type === undefined) throw fields.missing('type')
  if (typeof type !== 'string' || !types.includes(type)) {
    throw unsupported(`${path}.type`, `${path}.type: only ${types.join(' and ')} parts are supported here by this server`)
  }
  fields.check(type === 'refusal' ? REFUSAL_RULES : TEXT_RULES)
  return fields.requiredText(type === 'refusal' ? 'refusal' : 'text')
}
