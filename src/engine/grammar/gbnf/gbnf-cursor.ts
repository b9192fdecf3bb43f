/** A grammar text being read; refusals are worded with line and column. */
import type { InferdError } from '#contract/errors'
import { refuseGrammar } from '#engine/grammar/grammar-limits'
import { SourceCursor } from '#engine/grammar/source-cursor'

export class GbnfCursor extends SourceCursor {
  /** Steps over blanks, line ends and comments. True: a line has ended. */
  skipSpace(): boolean {
    let hasLineEnd = false
    for (;;) {
      const char = this.peek()
      if (char === '#') while (!this.isAtEnd && this.peek() !== '\n' && this.peek() !== '\r') this.at++
      else if (char === ' ' || char === '\t') this.at++
      else if (char === '\n' || char === '\r') {
        hasLineEnd = true
        this.at++
      } else return hasLineEnd
    }
  }

  /** `start`: index of the code point that the refusal points at. */
  refusal(reason: string, start: number): InferdError {
    let [line, lineStart] = [1, 0]
    for (let i = 0; i < start && i < this.chars.length; i++) {
      const endsLine = this.chars[i] === '\n' || (this.chars[i] === '\r' && this.chars[i + 1] !== '\n')
      if (!endsLine) continue
      line++
      lineStart = i + 1
    }
    return refuseGrammar(reason, `at line ${line}, column ${start - lineStart + 1}`)
  }
}
