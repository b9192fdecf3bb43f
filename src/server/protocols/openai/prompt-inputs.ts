/**
 * The forms in which completions and embeddings take raw input: one text, one token array, a list of texts or a list of
 * token arrays. Lists are not mixed; nothing may be empty; every token id is inside the model's vocabulary.
 */
import { InferdError } from '#contract/errors'
import type { PromptInput } from '#contract/generate'
import { checkedInteger, checkItemCount, type Fields, invalid, typeMismatch } from '#server/fields'

export interface PromptLimits {
  readonly maxPrompts: number
  readonly vocabSize: number
  /** More token ids than this are refused before they are looked at. */
  readonly contextLength: number
}

export interface PromptInputs {
  readonly inputs: readonly PromptInput[]
  /** Whether the field is a list of prompts; otherwise it is the one prompt itself. */
  readonly isList: boolean
}

export function readPromptInputs(fields: Fields, key: string, limits: PromptLimits): PromptInputs {
  const value = fields.value(key)
  const path = fields.pathOf(key)
  if (value === undefined) throw fields.missing(key)
  if (typeof value === 'string') return { inputs: [readText(value, path)], isList: false }
  if (!Array.isArray(value)) throw typeMismatch(path, 'a string, an array of strings, an array of token ids or an array of such arrays', value)
  const items: readonly unknown[] = value
  if (items.length === 0) throw invalid(path, `${path} must not be empty`)
  if (typeof items[0] === 'number') return { inputs: [readTokens(items, path, limits)], isList: false }
  checkItemCount(items, path, { maxItems: limits.maxPrompts })
  const kind = Array.isArray(items[0]) ? 'tokens' : 'text'
  const inputs = items.map((item, index) => {
    const itemPath = `${path}[${index}]`
    if (kind === 'text') return readText(item, itemPath)
    if (!Array.isArray(item)) throw typeMismatch(itemPath, 'an array of token ids like the items before it', item)
    return readTokens(item, itemPath, limits)
  })
  return { inputs, isList: true }
}

function readText(value: unknown, path: string): PromptInput {
  if (typeof value !== 'string') throw typeMismatch(path, 'a string', value)
  if (value === '') throw invalid(path, `${path} must not be empty`)
  return { kind: 'text', text: value }
}

function readTokens(items: readonly unknown[], path: string, { vocabSize, contextLength }: PromptLimits): PromptInput {
  if (items.length === 0) throw invalid(path, `${path} must not be empty`)
  if (items.length > contextLength) {
    throw new InferdError('context_length_exceeded', `the context holds ${contextLength} tokens; the prompt has ${items.length}`, { param: path })
  }
  const range = { min: 0, max: vocabSize - 1 }
  // The path of an id is spelled only for the one that is refused: a prompt may have very many.
  const tokenIds = items.map((item, index) => (isTokenId(item, vocabSize) ? item : checkedInteger(item, `${path}[${index}]`, range)))
  return { kind: 'tokens', tokenIds }
}

function isTokenId(item: unknown, vocabSize: number): item is number {
  return typeof item === 'number' && Number.isInteger(item) && item >= 0 && item < vocabSize && !Object.is(item, -0)
}
