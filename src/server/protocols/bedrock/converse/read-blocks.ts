/** Content blocks of messages: text, guardContent, reasoningContent, toolUse, toolResult, cachePoint. Whatever else the API knows is refused by its path. */
import type { ToolCall } from '#contract/generate'
import type { GuardContent } from '#contract/guardrail'
import { Fields, invalid, isJsonObject, typeMismatch } from '#server/fields'
import type { DecodeContext } from '#server/operation'
import { checkCachePoint } from './cache-point.ts'
import { readToolName } from './tool-fields.ts'
import { readMember } from './union-field.ts'

const CALL_ID = /^[a-zA-Z0-9_.:-]{1,64}$/
const QUALIFIERS = ['grounding_source', 'query', 'guard_content'] as const
const BLOCKS = ['text', 'guardContent', 'reasoningContent', 'toolUse', 'toolResult', 'cachePoint'] as const
const REFUSED = ['image', 'document', 'video', 'audio', 'citationsContent', 'searchResult'] as const

export type BlockKind = (typeof BLOCKS)[number]

export interface ToolResult {
  readonly path: string
  readonly toolUseId: string
  readonly text: string
}

/** What the blocks of one message are, in their order of meaning. */
export interface MessageContent {
  readonly texts: string[]
  readonly guarded: GuardContent[]
  readonly thinking: string[]
  readonly toolCalls: ToolCall[]
  readonly toolResults: ToolResult[]
  cachePoint: boolean
}

/** `kinds`: what may stand here. */
export function readContent(fields: Fields, key: string, kinds: readonly BlockKind[], { limits }: DecodeContext): MessageContent {
  const items = fields.list(key, { minItems: 1, maxItems: limits.maxContentParts })
  if (items === null) throw fields.missing(key)
  const content: MessageContent = { texts: [], guarded: [], thinking: [], toolCalls: [], toolResults: [], cachePoint: false }
  for (const [index, item] of items.entries()) {
    const path = `${fields.pathOf(key)}[${index}]`
    if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
    const block = new Fields(item, path)
    const refused = [...REFUSED, ...BLOCKS.filter((kind) => !kinds.includes(kind))]
    addBlock(content, block, readMember(block, path, { known: kinds, refused }), limits.maxContentParts)
  }
  checkUniqueIds(content.toolCalls, fields.pathOf(key))
  return content
}

function addBlock(content: MessageContent, block: Fields, kind: BlockKind, maxParts: number): void {
  switch (kind) {
    case 'text':
      content.texts.push(block.requiredText('text', { minLength: 1 }))
      return
    case 'guardContent': {
      const guarded = readGuardContent(block)
      content.texts.push(guarded.text)
      content.guarded.push(guarded)
      return
    }
    case 'reasoningContent':
      content.thinking.push(readReasoning(block.requiredFields('reasoningContent')))
      return
    case 'toolUse':
      content.toolCalls.push(readToolUse(block.requiredFields('toolUse')))
      return
    case 'toolResult':
      content.toolResults.push(readToolResult(block.requiredFields('toolResult'), maxParts))
      return
    case 'cachePoint':
      checkCachePoint(block)
      content.cachePoint = true
  }
}

function readGuardContent(block: Fields): GuardContent {
  const union = block.requiredFields('guardContent')
  readMember(union, block.pathOf('guardContent'), { known: ['text'], refused: ['image'] })
  const guarded = union.requiredFields('text')
  guarded.check({ text: 'read', qualifiers: 'read' })
  return { text: guarded.requiredText('text', { minLength: 1 }), qualifiers: readQualifiers(guarded) }
}

/** What says nothing else is to be judged. */
export function readQualifiers(fields: Fields): GuardContent['qualifiers'] {
  const items = fields.list('qualifiers', { maxItems: QUALIFIERS.length }) ?? []
  const qualifiers = items.map((item) => {
    const qualifier = QUALIFIERS.find((each) => each === item)
    if (qualifier === undefined) throw invalid(fields.pathOf('qualifiers'), `${fields.pathOf('qualifiers')} must be of ${QUALIFIERS.join(', ')}`)
    return qualifier
  })
  return qualifiers.length === 0 ? ['guard_content'] : qualifiers
}

/** The template decides what the model sees of earlier thoughts. Signatures say nothing here: these models' thoughts are no secret. */
function readReasoning(union: Fields): string {
  readMember(union, union.pathOf('reasoningText').replace(/\.reasoningText$/, ''), { known: ['reasoningText'], refused: ['redactedContent'] })
  const reasoning = union.requiredFields('reasoningText')
  reasoning.check({ text: 'read', signature: 'read' })
  reasoning.text('signature')
  return reasoning.requiredText('text')
}

function readToolUse(use: Fields): ToolCall {
  use.check({ toolUseId: 'read', name: 'read', input: 'read', type: () => false })
  const input = use.record('input')
  if (input === null) throw use.missing('input')
  return { id: readCallId(use), name: readToolName(use, 'name'), arguments: JSON.stringify(input) }
}

function readToolResult(result: Fields, maxParts: number): ToolResult {
  result.check({ toolUseId: 'read', content: 'read', status: 'read', type: () => false })
  const items = result.list('content', { maxItems: maxParts })
  if (items === null) throw result.missing('content')
  const text = items.map((item, index) => readResultPart(item, `${result.pathOf('content')}[${index}]`)).join('\n')
  // Models know no flag for it: they are told in words.
  const isError = result.word('status', ['success', 'error']) === 'error'
  return { path: result.pathOf('toolUseId'), toolUseId: readCallId(result), text: isError ? `Error: ${text}` : text }
}

function readResultPart(item: unknown, path: string): string {
  if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
  const part = new Fields(item, path)
  const member = readMember(part, path, { known: ['text', 'json'], refused: ['image', 'document', 'video', 'searchResult'] })
  return member === 'text' ? part.requiredText('text') : JSON.stringify(part.value('json'))
}

function readCallId(fields: Fields): string {
  const id = fields.requiredText('toolUseId')
  if (!CALL_ID.test(id))
    throw invalid(fields.pathOf('toolUseId'), `${fields.pathOf('toolUseId')} must have 1 to 64 of the characters a-z, A-Z, 0-9 and _.:-`)
  return id
}

function checkUniqueIds(calls: readonly ToolCall[], path: string): void {
  if (new Set(calls.map(({ id }) => id)).size < calls.length) throw invalid(path, `${path}: two toolUse blocks have the same toolUseId`)
}
