/**
 * FunctionGemma: `<start_function_call>call:f{key:<escape>text<escape>,n:1}<end_function_call>`, once per call. Values are strings between
 * `<escape>` marks, numbers, true, false, null, lists and objects. A call comes out whole, its arguments as JSON.
 * Source: ai.google.dev/gemma/docs/functiongemma/formatting-and-best-practices.
 */
import { AnswerScanner, type CallReader, type ReaderStep } from './answer-scanner.ts'
import { OPENAI_CALL_IDS, WITHOUT_GRAMMAR } from './syntax-exprs.ts'
import type { ToolSyntax } from './tool-syntax.ts'
import { MAX_VALUE_DEPTH, readListing, ValueCursor } from './value-cursor.ts'

const OPEN = '<start_function_call>'
const CLOSE = '<end_function_call>'
const ESCAPE = '<escape>'
const HEAD = 'call:'

export const gemmaSyntax: ToolSyntax = {
  name: 'gemma',
  marks: [OPEN, CLOSE, ESCAPE],
  stopMarks: ['<start_function_response>'],
  callIds: OPENAI_CALL_IDS,
  createParser: () => new AnswerScanner({ mark: OPEN, bareStart: null, createReader: () => new GemmaReader() }),
  ...WITHOUT_GRAMMAR,
}

class GemmaReader implements CallReader {
  readonly isTail = false
  isOver = false
  name = ''
  argumentsText = ''
  private body = ''
  private numMatched = 0

  take(unit: string): ReaderStep {
    const length = this.body.length
    if (length < HEAD.length && unit !== HEAD[length]) return 'fail'
    this.body += unit
    this.numMatched = unit === CLOSE[this.numMatched] ? this.numMatched + 1 : unit === CLOSE[0] ? 1 : 0
    if (this.numMatched < CLOSE.length) return 'hold'
    const call = readGemmaCall(this.body.slice(HEAD.length, -CLOSE.length))
    if (call === null) return 'fail'
    this.name = call.name
    this.argumentsText = call.argumentsText
    this.isOver = true
    return 'whole'
  }
}

/** `f{...}`; null when it is anything else. */
function readGemmaCall(text: string): { readonly name: string; readonly argumentsText: string } | null {
  const cursor = new ValueCursor(text)
  const name = cursor.takeWord()
  if (name === '' || !cursor.takeText('{')) return null
  const argumentsText = readObject(cursor, 1)
  cursor.skipSpace()
  return argumentsText === null || !cursor.isAtEnd ? null : { name, argumentsText }
}

function readValue(cursor: ValueCursor, depth: number): string | null {
  if (depth > MAX_VALUE_DEPTH) return null
  if (cursor.takeText(ESCAPE)) {
    const text = cursor.takeUntil(ESCAPE)
    return text === null ? null : JSON.stringify(text)
  }
  if (cursor.takeText('{')) return readObject(cursor, depth + 1)
  if (cursor.takeText('[')) {
    const items = readListing(cursor, { close: ']', readItem: () => readValue(cursor, depth + 1) })
    return items === null ? null : `[${items}]`
  }
  const number = cursor.takeNumber()
  if (number !== null) return number
  const word = cursor.takeWord()
  return word === 'true' || word === 'false' || word === 'null' ? word : null
}

/** The opening brace was passed. */
function readObject(cursor: ValueCursor, depth: number): string | null {
  const readItem = (): string | null => {
    const key = cursor.takeText(ESCAPE) ? cursor.takeUntil(ESCAPE) : cursor.takeWord()
    if (key === null || key === '' || !cursor.takeText(':')) return null
    const value = readValue(cursor, depth)
    return value === null ? null : `${JSON.stringify(key)}: ${value}`
  }
  const members = readListing(cursor, { close: '}', readItem })
  return members === null ? null : `{${members}}`
}
