/**
 * Llama 3.1 to 3.3: the whole answer is `{"name": "f", "parameters": {...}}`, behind `<|python_tag|>` in some models; several calls are
 * separated by `;`. Source: Meta's prompt format pages and templates of these models.
 */
import { isJsonSpace } from '#engine/chat-format/json-extent'
import { MAX_HELD_SPACE } from '#engine/chat-format/reasoning-splitter'
import { ANY_CHAR } from '#engine/grammar/char-automaton'
import { choice, EMPTY_TEXT, type Expr, optional, repeat, sequence, text } from '#engine/grammar/grammar'
import { AnswerScanner, type CallReader, type ReaderStep } from './answer-scanner.ts'
import { JsonCallReader } from './json-call-reader.ts'
import { freeTextExpr, jsonCallHead, oneOrMore, OPENAI_CALL_IDS } from './syntax-exprs.ts'
import type { ToolSyntax } from './tool-syntax.ts'

const MARK = '<|python_tag|>'

/** Text that is no call: its first character, white space apart, is neither `{` nor `<`, which may begin the mark. */
function plainText(hasMarkToken: boolean): Expr {
  const space: Expr = { kind: 'chars', ranges: [9, 10, 13, 13, 32, 32] }
  const first: Expr = { kind: 'chars', ranges: [0, 8, 11, 12, 14, 31, 33, 59, 61, 122, 124, 0xd7ff, 0xe000, 0x10ffff] }
  const rest: Expr = hasMarkToken ? repeat({ kind: 'chars', ranges: ANY_CHAR }, 0, null) : freeTextExpr(MARK)
  return sequence(repeat(space, 0, null), choice(EMPTY_TEXT, sequence(first, rest)))
}

export const llama3Syntax: ToolSyntax = {
  name: 'llama3',
  marks: [MARK],
  stopMarks: [],
  callIds: OPENAI_CALL_IDS,
  canConstrain: true,
  createParser: () => new AnswerScanner({ mark: MARK, bareStart: '{', createReader: () => new Llama3Reader() }),
  callsExpr: (builder, tools, { parallel }) =>
    oneOrMore(builder, sequence(jsonCallHead(tools, 'parameters'), text('}')), { separator: sequence(text(';'), optional(text(' '))), parallel }),
  autoExpr: (_builder, calls, content, markTokens) => choice(content ?? plainText((markTokens[MARK] ?? null) !== null), calls),
}

/** JSON objects with `;` or white space between. */
class Llama3Reader implements CallReader {
  readonly isOver = false
  private call = new JsonCallReader()
  private isBetween = false
  private hasSeparator = false
  private numSpaces = 0

  get name(): string {
    return this.call.name
  }

  get argumentsText(): string {
    return this.call.argumentsText
  }

  get isTail(): boolean {
    return this.call.isComplete && !this.hasSeparator
  }

  take(unit: string): ReaderStep {
    if (this.isBetween) return this.takeBetween(unit)
    const step = this.call.take(unit)
    if (step !== 'closed') return step
    this.isBetween = true
    this.hasSeparator = false
    this.numSpaces = 0
    return 'envelope'
  }

  private takeBetween(unit: string): ReaderStep {
    if (isJsonSpace(unit) && this.numSpaces < MAX_HELD_SPACE) {
      this.numSpaces += 1
      return 'hold'
    }
    if (unit === ';' && !this.hasSeparator) {
      this.hasSeparator = true
      return 'hold'
    }
    if (unit !== '{') return 'rescan'
    this.isBetween = false
    this.hasSeparator = false
    this.call = new JsonCallReader()
    this.call.begin()
    return 'hold'
  }
}
