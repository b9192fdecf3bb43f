/**
 * The parser that all syntaxes share: plain text up to where calls begin, then a reader of that syntax, then text again. Every unit is
 * looked at once, and a second time at most when a call's end is missing. White space around calls is dropped; any other text that
 * turns out to be no call comes out as it was.
 */
import { assert } from '#base/assert'
import { isJsonSpace } from '#engine/chat-format/json-extent'
import { MAX_HELD_SPACE } from '#engine/chat-format/reasoning-splitter'
import type { AnswerPiece, AnswerParser } from './tool-syntax.ts'

/** What one unit (UTF-16) means to a reader of calls. */
export type ReaderStep =
  /** Undecided: a part of a call, if it goes on as it should. */
  | 'hold'
  /** A call begins, `name` is known, and the unit is the first of its arguments. */
  | 'start'
  | 'argument'
  /** The last unit of the arguments: the call is complete. */
  | 'last'
  /** A complete call: `name` and `argumentsText`. */
  | 'whole'
  /** What was held and this unit belong to calls that came out. */
  | 'envelope'
  /** No call: what was held is text, and the unit has not been taken. */
  | 'fail'
  /** As fail, but what was held (MAX_HELD_SPACE and a few units) may itself begin the next call. */
  | 'rescan'

/** Reads what follows a mark: one call, or several. */
export interface CallReader {
  /** With start and whole. */
  readonly name: string
  /** With whole: JSON. */
  readonly argumentsText: string
  /** What is held belongs to a call that came out: dropped if the text ends here. */
  readonly isTail: boolean
  /** Nothing more to read. */
  readonly isOver: boolean
  take(unit: string): ReaderStep
}

export interface ScannerOptions {
  /** Begins calls anywhere. Its first unit stands nowhere else in it. */
  readonly mark: string
  /** A unit that begins calls without a mark, at the head of the answer; null = none. */
  readonly bareStart: string | null
  createReader(): CallReader
}

/** UTF-16 units of a call that is held back until it is certain; a longer one is text. */
export const MAX_HELD_CALL = 65_536

export class AnswerScanner implements AnswerParser {
  /** Units looked at so far: the measure of work. */
  numSteps = 0
  private readonly options: ScannerOptions
  private reader: CallReader | null = null
  numDecided = 0
  /** Undecided units, from `numDecided` on. In text: white space, then the beginning of a mark. */
  private held = ''
  private numMatched = 0
  private numSpaces = 0
  /** Only white space so far. */
  private isAtHead = true
  /** Only white space since a call. */
  private isBehindCall = false
  private openText = ''
  private openTextStart = 0
  private openArguments = ''
  private pieces: AnswerPiece[] = []

  constructor(options: ScannerOptions) {
    assert(options.mark.lastIndexOf(options.mark[0]!) === 0, 'a failed match of a mark can only begin anew')
    this.options = options
  }

  push(text: string): readonly AnswerPiece[] {
    this.pieces = []
    for (let index = 0; index < text.length; index += 1) this.takeUnit(text[index]!)
    this.flush()
    return this.pieces
  }

  finish(): readonly AnswerPiece[] {
    this.pieces = []
    const isTail = this.reader === null ? this.isBehindCall && this.numMatched === 0 : this.reader.isTail
    if (isTail) this.consume(0)
    else this.release(this.held.length)
    this.flush()
    return this.pieces
  }

  private takeUnit(unit: string): void {
    this.numSteps += 1
    if (this.reader === null) this.takeText(unit)
    else this.takeCall(this.reader, unit)
  }

  private takeText(unit: string): void {
    const { mark, bareStart } = this.options
    this.held += unit
    if (unit === mark[this.numMatched]) {
      this.numMatched += 1
      if (this.numMatched === mark.length) this.openReader()
      return
    }
    if (this.numMatched > 0) {
      this.numSpaces = 0
      this.isAtHead = false
    }
    this.numMatched = unit === mark[0] ? 1 : 0
    if (this.isAtHead && unit === bareStart) {
      const reader = this.openReader()
      this.held = this.held.slice(0, -1)
      return this.takeCall(reader, unit)
    }
    if (this.numMatched === 0) this.numSpaces = isJsonSpace(unit) ? Math.min(this.numSpaces + 1, MAX_HELD_SPACE) : 0
    if (this.numMatched + this.numSpaces === 0) this.isAtHead = false
    this.release(this.held.length - this.numMatched - this.numSpaces)
  }

  private openReader(): CallReader {
    this.numMatched = 0
    this.numSpaces = 0
    this.isAtHead = false
    return (this.reader = this.options.createReader())
  }

  private takeCall(reader: CallReader, unit: string): void {
    const step = this.held.length < MAX_HELD_CALL ? reader.take(unit) : 'fail'
    switch (step) {
      case 'hold':
        this.held += unit
        return
      case 'start':
        this.beginCall(reader.name)
        this.openArguments = unit
        return
      case 'argument':
        this.consume(1)
        this.openArguments += unit
        return
      case 'last':
        this.consume(1)
        this.openArguments += unit
        return this.endCall(reader)
      case 'whole':
        this.beginCall(reader.name)
        this.openArguments = reader.argumentsText
        return this.endCall(reader)
      case 'envelope':
        this.consume(1)
        return this.closeIfOver(reader)
      case 'fail':
        this.reader = null
        this.release(this.held.length)
        return this.takeUnit(unit)
      case 'rescan':
        return this.rescan(unit)
    }
  }

  private beginCall(name: string): void {
    this.flush()
    this.consume(1)
    this.pieces.push({ kind: 'call-start', name })
  }

  private endCall(reader: CallReader): void {
    this.flush()
    this.pieces.push({ kind: 'call-end' })
    this.isBehindCall = true
    this.closeIfOver(reader)
  }

  private closeIfOver(reader: CallReader): void {
    if (reader.isOver) this.reader = null
  }

  private rescan(unit: string): void {
    const again = this.held + unit
    this.reader = null
    this.held = ''
    for (let index = 0; index < again.length; index += 1) this.takeUnit(again[index]!)
  }

  /** What is held, and `numMore` units behind it, are no text. */
  private consume(numMore: number): void {
    this.numDecided += this.held.length + numMore
    this.held = ''
  }

  /** The first `length` units of what is held are text. */
  private release(length: number): void {
    if (length === 0) return
    if (this.openText === '') this.openTextStart = this.numDecided
    this.numDecided += length
    this.openText += this.held.slice(0, length)
    this.held = this.held.slice(length)
    this.isBehindCall = false
  }

  private flush(): void {
    const { openText, openTextStart, openArguments } = this
    if (openText !== '') this.pieces.push({ kind: 'text', text: openText, start: openTextStart })
    if (openArguments !== '') this.pieces.push({ kind: 'call-arguments', text: openArguments })
    this.openText = ''
    this.openArguments = ''
  }
}
