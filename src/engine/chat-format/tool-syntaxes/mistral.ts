/**
 * Mistral: `[TOOL_CALLS]` and a JSON array of calls (tokenizers v2 to v7), or `[TOOL_CALLS]name[ARGS]{...}` for each call (v11 and later, some
 * with `[CALL_ID]` and an id between). Both are read whichever a model is known for. Source: mistral-common's documentation of its tokenizers.
 */
import { isJsonSpace, JsonExtent } from '#engine/chat-format/json-extent'
import { chars, choice, optional, repeat, sequence, text } from '#engine/grammar/grammar'
import { AnswerScanner, type CallReader, type ReaderStep } from './answer-scanner.ts'
import { JsonCallReader } from './json-call-reader.ts'
import { freeTextExpr, jsonCallHead, markExpr, oneOrMore } from './syntax-exprs.ts'
import type { ToolSyntax } from './tool-syntax.ts'

const CALLS = '[TOOL_CALLS]'
const ARGUMENTS = '[ARGS]'
const CALL_ID = '[CALL_ID]'
const MAX_NAME_LENGTH = 256
/** `[CALL_ID]`, an id and `[ARGS]`. */
const MAX_HEAD_LENGTH = 96

const SHARED = {
  marks: [CALLS, ARGUMENTS, CALL_ID],
  stopMarks: [],
  // Their templates refuse ids of any other form.
  callIds: { prefix: '', length: 9 },
  canConstrain: true,
  createParser: () => new AnswerScanner({ mark: CALLS, bareStart: null, createReader: () => new MistralReader() }),
  autoExpr: (_builder, calls, content) => (content === null ? sequence(freeTextExpr(CALLS), optional(calls)) : choice(content, calls)),
} satisfies Partial<ToolSyntax>

export const mistralArraySyntax: ToolSyntax = {
  name: 'mistral-array',
  ...SHARED,
  callsExpr: (builder, tools, { parallel, markTokens }) => {
    const id = sequence(text(', "id": "'), repeat(chars('a', 'z', 'A', 'Z', '0', '9'), 9, 9), text('"'))
    const call = sequence(jsonCallHead(tools, 'arguments'), optional(id), text('}'))
    return sequence(
      markExpr(CALLS, markTokens),
      optional(text(' ')),
      text('['),
      oneOrMore(builder, call, { separator: text(', '), parallel }),
      text(']'),
    )
  },
}

export const mistralNamedSyntax: ToolSyntax = {
  name: 'mistral-named',
  ...SHARED,
  callsExpr: (builder, tools, { parallel, markTokens }) => {
    const named = tools.map(({ name, argumentsExpr }) => sequence(text(name), markExpr(ARGUMENTS, markTokens), argumentsExpr))
    return oneOrMore(builder, sequence(markExpr(CALLS, markTokens), choice(...named)), { separator: text(''), parallel })
  },
}

class MistralReader implements CallReader {
  isOver = false
  isTail = false
  private state: 'form' | 'element' | 'comma' | 'name' | 'head' | 'brace' | 'arguments' = 'form'
  private call = new JsonCallReader()
  private ownName = ''
  private head = ''
  private readonly extent = new JsonExtent()

  get name(): string {
    return this.ownName === '' ? this.call.name : this.ownName
  }

  get argumentsText(): string {
    return this.call.argumentsText
  }

  take(unit: string): ReaderStep {
    switch (this.state) {
      case 'form':
        return this.takeForm(unit)
      case 'element':
        return this.takeElement(unit)
      case 'comma':
        return this.takeComma(unit)
      case 'name':
        return this.takeName(unit)
      case 'head':
        return this.takeHead(unit)
      case 'brace':
        if (isJsonSpace(unit)) return 'hold'
        return unit === '{' ? this.beginArguments(unit) : 'fail'
      case 'arguments':
        this.isOver = this.extent.take(unit)
        return this.isOver ? 'last' : 'argument'
    }
  }

  private takeForm(unit: string): ReaderStep {
    if (isJsonSpace(unit)) return 'hold'
    if (unit === '[') this.state = 'element'
    else if (isNameUnit(unit)) {
      this.state = 'name'
      this.ownName = unit
    } else return 'fail'
    return 'hold'
  }

  private takeElement(unit: string): ReaderStep {
    const step = this.call.take(unit)
    this.isTail = this.call.isComplete
    if (step !== 'closed') return step
    this.state = 'comma'
    return 'envelope'
  }

  private takeComma(unit: string): ReaderStep {
    if (isJsonSpace(unit)) return 'hold'
    if (unit === ',') {
      this.state = 'element'
      this.call = new JsonCallReader()
      return 'hold'
    }
    this.isOver = unit === ']'
    return this.isOver ? 'envelope' : 'fail'
  }

  private takeName(unit: string): ReaderStep {
    if (unit === '{') return this.beginArguments(unit)
    if (unit === '[') {
      this.state = 'head'
      this.head = unit
      return 'hold'
    }
    if (!isNameUnit(unit) || this.ownName.length >= MAX_NAME_LENGTH) return 'fail'
    this.ownName += unit
    return 'hold'
  }

  /** `[ARGS]`, or `[CALL_ID]id[ARGS]`. */
  private takeHead(unit: string): ReaderStep {
    this.head += unit
    if (this.head.length > MAX_HEAD_LENGTH) return 'fail'
    if (ARGUMENTS.startsWith(this.head)) {
      if (this.head === ARGUMENTS) this.state = 'brace'
      return 'hold'
    }
    if (CALL_ID.startsWith(this.head)) return 'hold'
    if (!this.head.startsWith(CALL_ID)) return 'fail'
    if (this.head.endsWith(ARGUMENTS)) this.state = 'brace'
    return 'hold'
  }

  private beginArguments(unit: string): ReaderStep {
    this.extent.take(unit)
    this.state = 'arguments'
    return 'start'
  }
}

function isNameUnit(unit: string): boolean {
  return (unit >= 'a' && unit <= 'z') || (unit >= 'A' && unit <= 'Z') || (unit >= '0' && unit <= '9') || unit === '_' || unit === '-' || unit === '.'
}
