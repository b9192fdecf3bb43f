/**
 * One choice whose text is more than text: tokens become reasoning, text and calls. Logprobs go with the text that their tokens spell;
 * those of marks, of calls and of dropped white space go nowhere.
 */
import type { TokenLogprob } from '#contract/generate'
import type { AnswerFormat } from '#engine/chat-format/answer-format'
import { type ChoicePiece, ChoiceParser } from '#engine/chat-format/answer-parser'
import type { ChoiceText, HeldToken, TextPart } from './choice-text.ts'
import type { TokenLogprobs } from './scheduler/token-request.ts'

export type AnswerPart =
  | { readonly kind: 'text' | 'reasoning'; readonly text: string; readonly logprobs: readonly TokenLogprob[] | null }
  | Exclude<ChoicePiece, { readonly kind: 'text' | 'reasoning' }>

export class ChoiceAnswer {
  /** Tokens of the reasoning so far, its marks included. */
  numReasoningTokens = 0
  private readonly text: ChoiceText
  private readonly parser: ChoiceParser
  /** Units of the choice's text that went to the parser. */
  private numParsed = 0
  /** Where tokens begin of which it is not known yet whether they are reasoning. */
  private undecidedStarts: number[] = []
  private heldTokens: HeldToken[] = []
  /** The last run of visible text: its units, and which kind it ends with. */
  private visible: { readonly kind: 'text' | 'reasoning'; readonly start: number; readonly end: number }

  constructor(text: ChoiceText, format: AnswerFormat) {
    this.text = text
    this.parser = new ChoiceParser(format)
    this.visible = { kind: format.startsInsideReasoning ? 'reasoning' : 'text', start: 0, end: 0 }
  }

  /** The stop string that ended the choice; nothing may be pushed after it. */
  get matched(): string | null {
    return this.text.matched
  }

  /** Hot: per token. */
  push(tokenId: number, logprobs: TokenLogprobs | null): readonly AnswerPart[] {
    if (!(this.parser.reasoningPhase === 'after' && this.undecidedStarts.length === 0)) this.undecidedStarts.push(this.text.numDecoded)
    const parts = this.read(this.text.push(tokenId, logprobs))
    return this.text.matched === null ? parts : [...parts, ...this.finishParser()]
  }

  /** The choice is over without a stop string so far. isCut: by its length. */
  finish(isCut: boolean): readonly AnswerPart[] {
    return [...this.read(this.text.finish()), ...this.finishParser(isCut)]
  }

  private finishParser(isCut = false): readonly AnswerPart[] {
    const parts = this.spell(this.parser.finish(isCut))
    this.countReasoning(Number.POSITIVE_INFINITY)
    return parts
  }

  private read({ text, tokens }: TextPart): readonly AnswerPart[] {
    this.numParsed += text.length
    this.heldTokens.push(...tokens)
    const parts = this.spell(this.parser.push(text))
    this.countReasoning(this.numParsed)
    return parts
  }

  /** Decides about tokens that begin before `end`. */
  private countReasoning(end: number): void {
    const { undecidedStarts, parser } = this
    if (undecidedStarts.length === 0 || parser.reasoningPhase === 'before') return
    const reasoningEnd = parser.reasoningPhase === 'inside' ? Number.POSITIVE_INFINITY : parser.reasoningEnd
    let numDecided = 0
    while (numDecided < undecidedStarts.length && undecidedStarts[numDecided]! < end) {
      if (undecidedStarts[numDecided]! < reasoningEnd) this.numReasoningTokens += 1
      numDecided += 1
    }
    undecidedStarts.splice(0, numDecided)
  }

  private spell(pieces: readonly ChoicePiece[]): readonly AnswerPart[] {
    const parts: AnswerPart[] = []
    for (const piece of pieces) {
      if (piece.kind !== 'text' && piece.kind !== 'reasoning') {
        parts.push(piece)
        continue
      }
      const { visible } = this
      const end = piece.start + piece.text.length
      this.visible = { kind: piece.kind, start: piece.start === visible.end ? visible.start : piece.start, end }
      parts.push({ kind: piece.kind, text: piece.text, logprobs: this.takeTokens(end) })
    }
    // Tokens that spell nothing may stand behind the last visible text.
    const { kind } = this.visible
    const logprobs = this.takeTokens(this.parser.numDecided)
    if (logprobs !== null) parts.push({ kind, text: '', logprobs })
    return parts
  }

  /** Takes the held tokens that end by `end`, and gives those that lie inside the visible run. */
  private takeTokens(end: number): readonly TokenLogprob[] | null {
    const { heldTokens, visible } = this
    let numTaken = 0
    while (numTaken < heldTokens.length && heldTokens[numTaken]!.end <= end) numTaken += 1
    if (numTaken === 0) return null
    const shown = heldTokens.splice(0, numTaken).filter((token) => token.start >= visible.start && token.end <= visible.end)
    return shown.length === 0 ? null : shown.map(({ logprob }) => logprob)
  }
}
