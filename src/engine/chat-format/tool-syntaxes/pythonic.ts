/**
 * Llama 4, and prompts for Gemma 3: the whole answer is a Python list of calls, `[f(a=1, b="x"), g()]`, in some models behind
 * `<|python_start|>`. Arguments are Python literals by keyword. Each call comes out whole, its arguments as JSON.
 * Source: Meta's prompt format page of Llama 4.
 */
import { isJsonSpace } from '#engine/chat-format/json-extent'
import { AnswerScanner, type CallReader, type ReaderStep } from './answer-scanner.ts'
import { readPythonCall } from './python-call.ts'
import { OPENAI_CALL_IDS, WITHOUT_GRAMMAR } from './syntax-exprs.ts'
import type { ToolSyntax } from './tool-syntax.ts'
import { isWordUnit } from './value-cursor.ts'

const OPEN = '<|python_start|>'

export const pythonicSyntax: ToolSyntax = {
  name: 'pythonic',
  marks: [OPEN],
  stopMarks: [],
  callIds: OPENAI_CALL_IDS,
  createParser: () => new AnswerScanner({ mark: OPEN, bareStart: '[', createReader: () => new PythonicReader() }),
  ...WITHOUT_GRAMMAR,
}

class PythonicReader implements CallReader {
  isOver = false
  isTail = false
  name = ''
  argumentsText = ''
  private state: 'open' | 'before' | 'name' | 'arguments' | 'after' = 'open'
  private call = ''
  private depth = 0
  /** The quote that ends the open string; '' outside of strings. */
  private quote = ''
  private isEscaped = false

  take(unit: string): ReaderStep {
    switch (this.state) {
      case 'open':
        if (unit === '[') this.state = 'before'
        return unit === '[' || isJsonSpace(unit) ? 'hold' : 'fail'
      case 'before':
        return isJsonSpace(unit) ? 'hold' : this.takeName(unit)
      case 'name':
        return this.takeName(unit)
      case 'arguments':
        return this.takeArguments(unit)
      case 'after':
        return this.takeAfter(unit)
    }
  }

  private takeName(unit: string): ReaderStep {
    const isOpening = unit === '(' && this.call !== ''
    if (!isOpening && !isWordUnit(unit)) return 'fail'
    this.state = isOpening ? 'arguments' : 'name'
    this.depth = 1
    this.call += unit
    return 'hold'
  }

  private takeArguments(unit: string): ReaderStep {
    this.call += unit
    if (this.quote !== '') {
      if (this.isEscaped) this.isEscaped = false
      else if (unit === '\\') this.isEscaped = true
      else if (unit === this.quote) this.quote = ''
      return 'hold'
    }
    if (unit === '"' || unit === "'") this.quote = unit
    else if (unit === '(' || unit === '[' || unit === '{') this.depth += 1
    else if (unit === ')' || unit === ']' || unit === '}') this.depth -= 1
    return this.depth === 0 ? this.endCall() : 'hold'
  }

  private endCall(): ReaderStep {
    const call = readPythonCall(this.call)
    if (call === null) return 'fail'
    this.name = call.name
    this.argumentsText = call.argumentsText
    this.state = 'after'
    this.isTail = true
    return 'whole'
  }

  private takeAfter(unit: string): ReaderStep {
    if (isJsonSpace(unit)) return 'hold'
    if (unit === ',') {
      this.state = 'before'
      this.call = ''
      this.isTail = false
      return 'hold'
    }
    this.isOver = unit === ']'
    return this.isOver ? 'envelope' : 'fail'
  }
}
