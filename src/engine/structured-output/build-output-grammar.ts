/** The grammar of a choice's whole text: reasoning, then an answer in its format, or calls of tools. */
import { CharBudget } from '#engine/grammar/char-algebra-budget'
import { ANY_TEXT, intersect, textThrough, textWithout } from '#engine/grammar/char-algebra'
import { ANY_CHAR } from '#engine/grammar/char-automaton'
import { choiceListExpr } from '#engine/grammar/choice-list'
import { parseGbnf } from '#engine/grammar/gbnf/parse-gbnf'
import { choice, type Expr, type Grammar, repeat, sequence, text, token } from '#engine/grammar/grammar'
import { GrammarBuilder } from '#engine/grammar/grammar-builder'
import type { GrammarLimits } from '#engine/grammar/grammar-limits'
import { lowerJsonObject, lowerJsonSchema } from '#engine/grammar/json-schema/lower-json-schema'
import { regexMatchingWhole } from '#engine/grammar/regex/compile-regex'
import { textsExpr } from '#engine/grammar/texts-expr'
import { InferdError } from '#contract/errors'
import type { OutputFormat, ToolDefinition } from '#contract/generate'
import { toolSyntaxNamed } from '#engine/chat-format/tool-syntaxes/find-tool-syntax'
import type { OutputSpec, ReasoningSpec, ToolSpec } from './output-spec.ts'

/** Line breaks that a model may put between its reasoning and its answer. */
const MAX_LINE_BREAKS_AFTER_REASONING = 2

/** Throws InferdError('invalid_parameter') for what cannot be enforced or is beyond the limits; `param` is a RequestPlace. */
export function buildOutputGrammar(spec: OutputSpec, limits: GrammarLimits): Grammar {
  const builder = new GrammarBuilder()
  const root = builder.declare('root')
  const content = contentExpr(builder, spec.format, limits)
  const answer = spec.tools === null ? (content ?? anyText()) : toolAnswer(builder, spec.tools, content, limits)
  builder.define(root, spec.reasoning === null ? answer : afterReasoning(builder.add('answer', answer), spec.reasoning, limits))
  return builder.build(root)
}

/** Null: any text. */
function contentExpr(builder: GrammarBuilder, format: OutputFormat, limits: GrammarLimits): Expr | null {
  switch (format.kind) {
    case 'text':
      return null
    case 'json-object':
      return lowerJsonObject(builder, format.whitespace)
    case 'json-schema':
      return lowerJsonSchema(builder, format.schema, { whitespace: format.whitespace, limits, closedObjects: true, unenforced: 'refuse' })
    case 'regex':
      return textsExpr(regexMatchingWhole(format.pattern, limits, new CharBudget(limits)), (texts) => texts)
    case 'grammar':
      return builder.embed(parseGbnf(format.source, limits))
    case 'choice':
      return choiceListExpr(format.choices, limits)
  }
}

function toolAnswer(builder: GrammarBuilder, tools: ToolSpec, content: Expr | null, limits: GrammarLimits): Expr {
  const syntax = toolSyntaxNamed(tools.syntax)
  const { parallel, markTokens } = tools
  if (tools.mode === 'none') return content ?? textWithoutMarks(syntax.marks, limits)
  const callable = tools.definitions.map((definition) => ({ name: definition.name, argumentsExpr: argumentsExpr(builder, definition, limits) }))
  const calls = builder.add('calls', syntax.callsExpr(builder, callable, { parallel, markTokens }))
  return tools.mode === 'required' ? calls : syntax.autoExpr(builder, calls, content, markTokens)
}

/** Text that begins no call and ends none. */
function textWithoutMarks(marks: readonly string[], limits: GrammarLimits): Expr {
  const budget = new CharBudget(limits)
  const automaton = marks.reduce((text, mark) => intersect(text, textWithout(mark, budget), budget), ANY_TEXT)
  return { kind: 'regular', automaton }
}

/**
 * A strict tool's schema is enforced whole or refused. Without `strict`, what cannot be enforced is left to the model, as clients expect of
 * schemas that they only wrote to explain.
 */
function argumentsExpr(builder: GrammarBuilder, { name, parameters, strict }: ToolDefinition, limits: GrammarLimits): Expr {
  try {
    if (parameters === null) return lowerJsonObject(builder, 'flexible')
    const schema = { type: 'object', ...parameters }
    const unenforced = strict ? 'refuse' : 'widen'
    return lowerJsonSchema(builder, schema, { whitespace: 'flexible', limits, closedObjects: true, unenforced })
  } catch (error) {
    if (!(error instanceof InferdError)) throw error
    throw new InferdError(error.code, `the parameters of the tool '${name}': ${error.message}`, { param: 'output.tools', cause: error })
  }
}

function afterReasoning(answer: Expr, { open, close, start, markTokens }: ReasoningSpec, limits: GrammarLimits): Expr {
  const closeToken = markTokens[close] ?? null
  const openToken = markTokens[open] ?? null
  const thought: Expr =
    closeToken === null ? { kind: 'regular', automaton: textThrough(close, new CharBudget(limits)) } : sequence(anyText(), token(closeToken))
  const thoughtThenAnswer = sequence(thought, repeat(text('\n'), 0, MAX_LINE_BREAKS_AFTER_REASONING), answer)
  if (start === 'inside') return thoughtThenAnswer
  return choice(answer, sequence(openToken === null ? text(open) : token(openToken), thoughtThenAnswer))
}

function anyText(): Expr {
  return repeat({ kind: 'chars', ranges: ANY_CHAR }, 0, null)
}
