/** From what a caller asks of the output, and what the model's dialect can say, to what steers each choice. */
import { InferdError } from '#contract/errors'
import type { OutputOptions, ToolOptions } from '#contract/generate'
import { markTokensOf, type AnswerFormat } from '#engine/chat-format/answer-format'
import type { ToolSyntax } from '#engine/chat-format/tool-syntaxes/tool-syntax'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import type { OutputSpec, ReasoningSpec, ToolSpec } from './output-spec.ts'

export interface OutputPlan {
  /** Null: no grammar. */
  readonly spec: OutputSpec | null
  /** Null: reasoning has no budget, or cannot occur. */
  readonly reasoningBudget: { readonly spec: ReasoningSpec; readonly budgetTokens: number } | null
}

const FREE: OutputPlan = { spec: null, reasoningBudget: null }

/** answerFormat: null for raw prompts and models without marks. Throws InferdError('invalid_parameter') for what the model's syntax cannot promise. */
export function planOutput(output: OutputOptions, answerFormat: AnswerFormat | null, tokenizer: Tokenizer): OutputPlan {
  const tools = toolSpecOf(output.tools, answerFormat?.syntax ?? null, tokenizer)
  const reasoning = reasoningSpecOf(answerFormat, tokenizer)
  const needsGrammar = output.format.kind !== 'text' || tools !== null
  const { budgetTokens } = output.reasoning
  if (!needsGrammar && (reasoning === null || budgetTokens === null)) return FREE
  return {
    spec: needsGrammar ? { format: output.format, tools, reasoning } : null,
    reasoningBudget: reasoning === null || budgetTokens === null ? null : { spec: reasoning, budgetTokens },
  }
}

/** Null: no call is held to anything. */
function toolSpecOf(tools: ToolOptions | null, syntax: ToolSyntax | null, tokenizer: Tokenizer): ToolSpec | null {
  if (tools === null || syntax === null) return null
  const { definitions, choice, parallel } = tools
  const named = typeof choice === 'object' ? definitions.filter(({ name }) => name === choice.name) : definitions
  const markTokens = markTokensOf(tokenizer, syntax.marks)
  if (choice === 'none') return { syntax: syntax.name, definitions: [], mode: 'none', parallel: false, markTokens }
  if (!syntax.canConstrain) {
    if (choice === 'auto' && !definitions.some(({ strict }) => strict)) return null
    const message = 'the form in which this model writes calls cannot be enforced: tool_choice must be auto, without strict tools'
    throw new InferdError('invalid_parameter', message, { param: 'output.tools' })
  }
  return {
    syntax: syntax.name,
    // What only explains a tool makes no other grammar.
    definitions: named.map((definition) => ({ ...definition, description: null })),
    mode: choice === 'auto' ? 'auto' : 'required',
    parallel: parallel && typeof choice !== 'object',
    markTokens,
  }
}

/** Null: the choice cannot think, or is not to. */
function reasoningSpecOf(answerFormat: AnswerFormat | null, tokenizer: Tokenizer): ReasoningSpec | null {
  const format = answerFormat?.reasoning ?? null
  if (answerFormat === null || format === null) return null
  const { open, close } = format
  const markTokens = markTokensOf(tokenizer, [open, close])
  if (answerFormat.startsInsideReasoning) return { open, close, start: 'inside', markTokens }
  return answerFormat.mayOpenReasoning ? { open, close, start: 'may-open', markTokens } : null
}
