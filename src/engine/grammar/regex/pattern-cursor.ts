/** A pattern being read; refusals are worded with the character. */
import type { InferdError } from '#contract/errors'
import { refuseGrammar } from '#engine/grammar/grammar-limits'
import { SourceCursor } from '#engine/grammar/source-cursor'

export class PatternCursor extends SourceCursor {
  private readonly place: string

  /** `place`: where the pattern itself stands; see refuseGrammar. */
  constructor(pattern: string, place: string) {
    super(pattern)
    this.place = place
  }

  /** `start`: index of the code point that the refusal points at. Counted from 1 in the message. */
  refusal(reason: string, start: number): InferdError {
    return refuseGrammar(reason, `${this.place === '' ? 'at' : `${this.place},`} character ${start + 1}`)
  }
}
