/** Cuts at a literal text. */
import type { PieceList } from './piece-list.ts'
import type { PreTokenizer } from './word-scanner.ts'

export type LiteralBehavior = 'removed' | 'isolated' | 'merged-with-previous' | 'merged-with-next'

export class LiteralCutter implements PreTokenizer {
  private readonly literal: string
  private readonly behavior: LiteralBehavior

  constructor(literal: string, behavior: LiteralBehavior) {
    this.literal = literal
    this.behavior = behavior
  }

  split(text: string, start: number, end: number, out: PieceList): void {
    const { literal, behavior } = this
    let pieceStart = start
    for (let match = text.indexOf(literal, start); match >= 0 && match + literal.length <= end;) {
      const matchEnd = match + literal.length
      if (behavior === 'merged-with-previous') {
        out.push(pieceStart, matchEnd)
        pieceStart = matchEnd
      } else {
        out.push(pieceStart, match)
        if (behavior === 'isolated') out.push(match, matchEnd)
        pieceStart = behavior === 'merged-with-next' ? match : matchEnd
      }
      match = text.indexOf(literal, matchEnd)
    }
    out.push(pieceStart, end)
  }
}
