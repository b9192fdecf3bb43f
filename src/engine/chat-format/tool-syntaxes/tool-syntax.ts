/**
 * How a family of models writes tool calls: what its calls look like to a grammar, and how they are read back from its text. One file
 * per family implements this; `find-tool-syntax.ts` tells which one a model speaks.
 */
import type { Expr } from '#engine/grammar/grammar'
import type { GrammarBuilder } from '#engine/grammar/grammar-builder'

export type ToolSyntaxName = 'hermes' | 'llama3' | 'mistral-array' | 'mistral-named' | 'gemma' | 'pythonic'

/** A tool as a grammar sees it. */
export interface CallableTool {
  readonly name: string
  /** A JSON object. */
  readonly argumentsExpr: Expr
}

/** What the grammar of a syntax needs to know of the model's vocabulary: ids of marks that are special tokens; null = spelled as text. */
export type MarkTokens = Readonly<Record<string, number | null>>

/** A piece of what the model wrote, in order. */
export type AnswerPiece =
  /** `start`: where the text stood in what was pushed, in UTF-16 units. */
  | { readonly kind: 'text'; readonly text: string; readonly start: number }
  | { readonly kind: 'call-start'; readonly name: string }
  /** A piece of the JSON text of the open call's arguments. */
  | { readonly kind: 'call-arguments'; readonly text: string }
  | { readonly kind: 'call-end' }

/** Reads one choice's text. Linear in the text, bounded in memory but for what it must hold back; never throws. */
export interface AnswerParser {
  push(text: string): readonly AnswerPiece[]
  /** UTF-16 units of the pushed text that came out, or were consumed as marks and envelopes: nothing before is held back. */
  readonly numDecided: number
  /** The text is over. What was held back and is no call comes out as text; an open call stays open. */
  finish(): readonly AnswerPiece[]
}

export interface ToolSyntax {
  readonly name: ToolSyntaxName
  /** Texts of marks that some models have as special tokens (`[TOOL_CALLS]`): the text of such a token is shown to the parser. */
  readonly marks: readonly string[]
  /** Marks that begin what the model must not write itself (the result of a call): such a token ends the choice. */
  readonly stopMarks: readonly string[]
  /** How ids of calls look, so that the model's own template takes them back: prefix and number of alphanumerics. */
  readonly callIds: { readonly prefix: string; readonly length: number }
  /** False: calls cannot be held to a grammar (they are not JSON); callsExpr and autoExpr must not be called. */
  readonly canConstrain: boolean
  createParser(): AnswerParser
  /** One or more calls; exactly one unless parallel. */
  callsExpr(builder: GrammarBuilder, tools: readonly CallableTool[], options: { readonly parallel: boolean; readonly markTokens: MarkTokens }): Expr
  /** An answer where the model chooses: `content` (null = any text), or calls, or text and then calls, as the syntax has it. */
  autoExpr(builder: GrammarBuilder, calls: Expr, content: Expr | null, markTokens: MarkTokens): Expr
}
