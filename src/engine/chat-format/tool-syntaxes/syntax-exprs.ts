/** Expressions that the grammars of several syntaxes are made of. */
import { BugError } from '#base/assert'
import { textWithout } from '#engine/grammar/char-algebra'
import { CharBudget } from '#engine/grammar/char-algebra-budget'
import { type Expr, choice, repeat, sequence, text, token } from '#engine/grammar/grammar'
import type { GrammarBuilder } from '#engine/grammar/grammar-builder'
import { DEFAULT_GRAMMAR_LIMITS } from '#engine/grammar/grammar-limits'
import type { MarkTokens, ToolSyntax } from './tool-syntax.ts'

/** For syntaxes whose arguments are not JSON. */
export const WITHOUT_GRAMMAR: Pick<ToolSyntax, 'canConstrain' | 'callsExpr' | 'autoExpr'> = {
  canConstrain: false,
  callsExpr: noGrammar,
  autoExpr: noGrammar,
}

function noGrammar(): never {
  throw new BugError('calls of this syntax have no grammar')
}

export const OPENAI_CALL_IDS = { prefix: 'call_', length: 24 } as const

/** The special token that a mark is, or its text. */
export function markExpr(mark: string, markTokens: MarkTokens): Expr {
  const tokenId = markTokens[mark] ?? null
  return tokenId === null ? text(mark) : token(tokenId)
}

/** Any text in which the mark does not stand. */
export function freeTextExpr(mark: string): Expr {
  return { kind: 'regular', automaton: textWithout(mark, new CharBudget(DEFAULT_GRAMMAR_LIMITS)) }
}

/** One or more of `item` with `separator` between; exactly one unless parallel. */
export function oneOrMore(
  builder: GrammarBuilder,
  item: Expr,
  { separator, parallel }: { readonly separator: Expr; readonly parallel: boolean },
): Expr {
  if (!parallel) return item
  const shared = builder.add('call', item)
  return sequence(shared, repeat(sequence(separator, shared), 0, null))
}

/** `{"name": "f", "arguments": {...}` for one of the tools, without the closing brace. */
export function jsonCallHead(tools: readonly { readonly name: string; readonly argumentsExpr: Expr }[], argumentsKey: string): Expr {
  return choice(
    ...tools.map(({ name, argumentsExpr }) => sequence(text(`{"name": ${JSON.stringify(name)}, ${JSON.stringify(argumentsKey)}: `), argumentsExpr)),
  )
}
