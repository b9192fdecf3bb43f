/** Reads one choice's answer: reasoning at its head first, then text and calls in the rest. */
import type { AnswerFormat } from './answer-format.ts'
import { type ReasoningPhase, ReasoningSplitter, type SplitPiece } from './reasoning-splitter.ts'
import type { AnswerParser, AnswerPiece } from './tool-syntaxes/tool-syntax.ts'

export type ChoicePiece = AnswerPiece | { readonly kind: 'reasoning'; readonly text: string; readonly start: number }

export class ChoiceParser {
  private readonly splitter: ReasoningSplitter | null
  private readonly calls: AnswerParser | null
  /** What opens a call wherever it stands; null where a call cannot be told from text before it is whole. */
  private readonly opening: string | null
  private numPushed = 0
  /** Where the rest begins in the pushed text; null while nothing of it came. */
  private restStart: number | null = null

  constructor(format: AnswerFormat) {
    this.splitter = format.reasoning === null ? null : new ReasoningSplitter(format.reasoning, format.startsInsideReasoning)
    this.calls = format.readsCalls ? (format.syntax?.createParser() ?? null) : null
    this.opening = format.syntax?.canConstrain === true ? (format.syntax.marks[0] ?? null) : null
  }

  /** UTF-16 units that came out or were consumed: nothing before is held back. */
  get numDecided(): number {
    if (this.restStart !== null && this.calls !== null) return this.restStart + this.calls.numDecided
    return this.splitter?.numDecided ?? this.numPushed
  }

  get reasoningPhase(): ReasoningPhase {
    return this.splitter?.phase ?? 'after'
  }

  /** Behind the closing mark, in UTF-16 units of the pushed text; 0 while there is none. */
  get reasoningEnd(): number {
    return this.splitter?.reasoningEnd ?? 0
  }

  push(text: string): readonly ChoicePiece[] {
    if (text === '') return []
    const pieces = this.splitter === null ? [{ kind: 'text' as const, text, start: this.numPushed }] : this.splitter.push(text)
    this.numPushed += text.length
    return this.readCalls(pieces)
  }

  /** isCut: the length was used up. The head of a call that was not whole by then is no text: a grammar had begun a call. */
  finish(isCut = false): readonly ChoicePiece[] {
    const pieces = this.readCalls(this.splitter?.finish() ?? [])
    const rest = this.shift(this.calls?.finish() ?? [])
    return [...pieces, ...(isCut ? rest.flatMap((piece) => this.withoutCallHead(piece)) : rest)]
  }

  private withoutCallHead(piece: AnswerPiece): readonly AnswerPiece[] {
    if (piece.kind !== 'text' || this.opening === null) return [piece]
    const start = piece.text.indexOf(this.opening)
    if (start < 0) return [piece]
    const text = piece.text.slice(0, start).trimEnd()
    return text === '' ? [] : [{ ...piece, text }]
  }

  /** The rest of an answer is one piece of its text: what the splitter drops lies before it. */
  private readCalls(pieces: readonly SplitPiece[]): readonly ChoicePiece[] {
    const { calls } = this
    if (calls === null) return pieces
    return pieces.flatMap((piece): readonly ChoicePiece[] => {
      if (piece.kind === 'reasoning') return [piece]
      this.restStart ??= piece.start
      return this.shift(calls.push(piece.text))
    })
  }

  private shift(pieces: readonly AnswerPiece[]): readonly AnswerPiece[] {
    const offset = this.restStart ?? 0
    return offset === 0 ? pieces : pieces.map((piece) => (piece.kind === 'text' ? { ...piece, start: piece.start + offset } : piece))
  }
}
