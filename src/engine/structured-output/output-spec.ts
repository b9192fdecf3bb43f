/**
 * What the whole text of a choice must be, as plain data: the key under which compiled grammars are kept, and what the compile thread is
 * given. Requests that differ in nothing here share a grammar.
 */
import type { OutputFormat, ToolDefinition } from '#contract/generate'
import type { MarkTokens, ToolSyntaxName } from '#engine/chat-format/tool-syntaxes/tool-syntax'

/** Reasoning before the answer, as far as the grammar has to leave room for it. */
export interface ReasoningSpec {
  readonly open: string
  readonly close: string
  /** inside: the prompt has opened it. may-open: the model may begin with it, or leave it out. */
  readonly start: 'inside' | 'may-open'
  /** Ids of the two marks where they are special tokens; null = spelled as text. */
  readonly markTokens: MarkTokens
}

export interface ToolSpec {
  readonly syntax: ToolSyntaxName
  readonly definitions: readonly ToolDefinition[]
  /** auto: text or calls; required: calls only; none: text without the marks of a call, whatever the definitions. */
  readonly mode: 'auto' | 'required' | 'none'
  readonly parallel: boolean
  readonly markTokens: MarkTokens
}

export interface OutputSpec {
  readonly format: OutputFormat
  readonly tools: ToolSpec | null
  readonly reasoning: ReasoningSpec | null
}

/** A key is as long as its schema, and looked up, queued and kept under: it is spelled once. */
const keys = new WeakMap<OutputSpec, string>()

/** Equal keys, equal grammars. */
export function keyOf(spec: OutputSpec): string {
  let key = keys.get(spec)
  if (key === undefined) {
    key = JSON.stringify(spec)
    keys.set(spec, key)
  }
  return key
}
