/**
 * Cuts an answer into what the model thought and the rest, in one pass. Reasoning stands at the head of an answer or nowhere: a mark
 * further on is text. White space behind the opening mark and around the closing mark belongs to neither part.
 */
import { isJsonSpace } from './json-extent.ts'
import type { ReasoningFormat } from './reasoning-format.ts'

export type ReasoningPhase = 'before' | 'inside' | 'after'

/** `start`: where the text stood in what was pushed, in UTF-16 units. */
export interface SplitPiece {
  readonly kind: 'reasoning' | 'text'
  readonly text: string
  readonly start: number
}

/** White space that is held back because a mark may follow; of a longer run the head is text. */
export const MAX_HELD_SPACE = 64

export class ReasoningSplitter {
  phase: ReasoningPhase
  /** Behind the closing mark, in units of the pushed text; 0 while there is none. */
  reasoningEnd = 0
  private readonly format: ReasoningFormat
  /** Undecided: white space, then the beginning of a mark. */
  private held = ''
  private numMatched = 0
  /** White space here is dropped. */
  private skipsSpace: boolean
  private position = 0
  private reasoning = ''
  private openText = ''
  private pieces: SplitPiece[] = []

  /** `startsInside`: the prompt has opened the reasoning already. */
  constructor(format: ReasoningFormat, startsInside: boolean) {
    this.format = format
    this.phase = startsInside ? 'inside' : 'before'
    this.skipsSpace = startsInside
  }

  get numDecided(): number {
    return this.position - this.held.length
  }

  push(text: string): readonly SplitPiece[] {
    this.pieces = []
    let index = 0
    for (; index < text.length; index += 1) {
      if (this.phase === 'after' && !this.skipsSpace) break
      this.takeUnit(text[index]!)
    }
    this.flushReasoning()
    this.flushText(text.slice(index))
    return this.pieces
  }

  /** The text is over: what waited for a mark is what it would have been without one. */
  finish(): readonly SplitPiece[] {
    this.pieces = []
    if (this.phase === 'before') this.leaveAsText()
    else this.release(this.held.length)
    this.flushReasoning()
    this.flushText('')
    return this.pieces
  }

  private takeUnit(unit: string): void {
    this.position += 1
    if (this.skipsSpace) {
      if (isJsonSpace(unit)) return
      this.skipsSpace = false
    }
    this.held += unit
    if (this.phase === 'after') this.leaveAsText()
    else if (this.phase === 'before') this.takeBefore(unit)
    else this.takeInside(unit)
  }

  private takeBefore(unit: string): void {
    if (this.numMatched === 0 && isJsonSpace(unit) && this.held.length <= MAX_HELD_SPACE) return
    if (unit !== this.format.open[this.numMatched]) return this.leaveAsText()
    this.numMatched += 1
    if (this.numMatched < this.format.open.length) return
    this.phase = 'inside'
    this.dropHeld()
  }

  private takeInside(unit: string): void {
    const { close } = this.format
    // A mark's first unit stands nowhere else in it, so that a failed match can only begin anew.
    this.numMatched = unit === close[this.numMatched] ? this.numMatched + 1 : unit === close[0] ? 1 : 0
    if (this.numMatched === close.length) {
      this.flushReasoning()
      this.phase = 'after'
      this.reasoningEnd = this.position
      return this.dropHeld()
    }
    this.release(this.held.length - this.numMatched - this.spaceBefore(this.held.length - this.numMatched))
  }

  /** How much white space, at most MAX_HELD_SPACE, stands right before `end` in what is held. */
  private spaceBefore(end: number): number {
    let start = end
    while (start > 0 && end - start < MAX_HELD_SPACE && isJsonSpace(this.held[start - 1]!)) start -= 1
    return end - start
  }

  private dropHeld(): void {
    this.held = ''
    this.numMatched = 0
    this.skipsSpace = true
  }

  /** The first `length` units of what is held are reasoning. */
  private release(length: number): void {
    this.reasoning += this.held.slice(0, length)
    this.held = this.held.slice(length)
  }

  private flushReasoning(): void {
    const { reasoning, held, position } = this
    if (reasoning === '') return
    this.pieces.push({ kind: 'reasoning', text: reasoning, start: position - held.length - reasoning.length })
    this.reasoning = ''
  }

  private leaveAsText(): void {
    this.phase = 'after'
    this.openText = this.held
    this.held = ''
  }

  private flushText(more: string): void {
    const text = this.openText + more
    if (text !== '') this.pieces.push({ kind: 'text', text, start: this.position - this.openText.length })
    this.openText = ''
    this.position += more.length
  }
}
