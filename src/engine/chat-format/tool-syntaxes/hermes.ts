/**
 * Hermes, Qwen2.5 and Qwen3: each call is a JSON object between `<tool_call>` and `</tool_call>`, on lines of their own.
 * Source: the templates of Qwen2.5-Instruct, Qwen3 and NousResearch Hermes 2 Pro.
 */
import { isJsonSpace } from '#engine/chat-format/json-extent'
import { MAX_HELD_SPACE } from '#engine/chat-format/reasoning-splitter'
import { choice, optional, sequence, text } from '#engine/grammar/grammar'
import { AnswerScanner, type CallReader, type ReaderStep } from './answer-scanner.ts'
import { JsonCallReader } from './json-call-reader.ts'
import { freeTextExpr, jsonCallHead, markExpr, oneOrMore, OPENAI_CALL_IDS } from './syntax-exprs.ts'
import type { ToolSyntax } from './tool-syntax.ts'

const OPEN = '<tool_call>'
const CLOSE = '</tool_call>'

export const hermesSyntax: ToolSyntax = {
  name: 'hermes',
  marks: [OPEN, CLOSE],
  stopMarks: [],
  callIds: OPENAI_CALL_IDS,
  canConstrain: true,
  createParser: () => new AnswerScanner({ mark: OPEN, bareStart: null, createReader: () => new HermesReader() }),
  callsExpr: (builder, tools, { parallel, markTokens }) =>
    oneOrMore(builder, sequence(markExpr(OPEN, markTokens), text('\n'), jsonCallHead(tools, 'arguments'), text('}\n'), markExpr(CLOSE, markTokens)), {
      separator: text('\n'),
      parallel,
    }),
  autoExpr: (_builder, calls, content, _markTokens) => (content === null ? sequence(freeTextExpr(OPEN), optional(calls)) : choice(content, calls)),
}

/** A JSON object, then white space and the closing mark. A call whose closing mark is missing counts. */
class HermesReader implements CallReader {
  isOver = false
  private readonly call = new JsonCallReader()
  private isClosing = false
  private numSpaces = 0
  private numMatched = 0

  get name(): string {
    return this.call.name
  }

  get argumentsText(): string {
    return this.call.argumentsText
  }

  get isTail(): boolean {
    return this.call.isComplete
  }

  take(unit: string): ReaderStep {
    if (this.isClosing) return this.takeClosing(unit)
    const step = this.call.take(unit)
    if (step !== 'closed') return step
    this.isClosing = true
    return 'envelope'
  }

  private takeClosing(unit: string): ReaderStep {
    if (this.numMatched === 0 && isJsonSpace(unit) && this.numSpaces < MAX_HELD_SPACE) {
      this.numSpaces += 1
      return 'hold'
    }
    if (unit !== CLOSE[this.numMatched]) return 'rescan'
    this.numMatched += 1
    if (this.numMatched < CLOSE.length) return 'hold'
    this.isOver = true
    return 'envelope'
  }
}
