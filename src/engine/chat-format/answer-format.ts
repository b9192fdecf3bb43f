/** How one answer is to be read: what its model writes beside plain text. */
import type { ReasoningFormat } from './reasoning-format.ts'
import type { MarkTokens, ToolSyntax } from './tool-syntaxes/tool-syntax.ts'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'

export interface AnswerFormat {
  /** How the model would write calls; null where it is shown no tools. */
  readonly syntax: ToolSyntax | null
  /** Calls are looked for in the answer. */
  readonly readsCalls: boolean
  /** Null: the model does not think aloud. */
  readonly reasoning: ReasoningFormat | null
  /** The prompt ends behind the mark that opens the reasoning. */
  readonly startsInsideReasoning: boolean
  /** The model may open its reasoning itself. */
  readonly mayOpenReasoning: boolean
  /** Special tokens that are marks: the parser is shown their text. Other special tokens stay invisible. */
  readonly markTexts: ReadonlyMap<number, string>
  /** Tokens that end the choice beside the model's own. */
  readonly stopTokenIds: readonly number[]
}

/** Null: the whole answer is plain text. */
export function answerFormatOf(parts: {
  readonly syntax: ToolSyntax | null
  readonly readsCalls: boolean
  readonly reasoning: ReasoningFormat | null
  readonly startsInsideReasoning: boolean
  readonly mayOpenReasoning: boolean
  readonly tokenizer: Tokenizer
}): AnswerFormat | null {
  const { syntax, readsCalls, reasoning, startsInsideReasoning, mayOpenReasoning, tokenizer } = parts
  if (syntax === null && reasoning === null) return null
  const marks = [...(syntax?.marks ?? []), ...(reasoning === null ? [] : [reasoning.open, reasoning.close])]
  const markTexts = new Map<number, string>()
  for (const [mark, tokenId] of Object.entries(markTokensOf(tokenizer, marks))) if (tokenId !== null) markTexts.set(tokenId, mark)
  const stopTokenIds = Object.values(markTokensOf(tokenizer, syntax?.stopMarks ?? [])).filter((tokenId) => tokenId !== null)
  return { syntax, readsCalls, reasoning, startsInsideReasoning, mayOpenReasoning, markTexts, stopTokenIds }
}

/** By mark: the id of the special token that it is in this vocabulary; null where it is spelled like other text. */
export function markTokensOf(tokenizer: Tokenizer, marks: readonly string[]): MarkTokens {
  return Object.fromEntries(
    marks.map((mark) => {
      const tokenId = tokenizer.tokenId(mark)
      return [mark, tokenId !== null && tokenizer.tokenBytes(tokenId).length === 0 ? tokenId : null]
    }),
  )
}
