/** Reads a grammar text code point by code point, and words refusals with line and column. */
import type { InferdError } from '#contract/errors'
import { refuseGrammar } from '#engine/grammar/grammar-limits'

export class GbnfCursor {
  /** Index of the next code point. */
  at = 0
  private readonly chars: readonly string[]

  constructor(source: string) {
    this.chars = Array.from(source)
  }

  get isAtEnd(): boolean {
    return this.at >= this.chars.length
  }

  /** The code point `ahead` of the next one; '' past the end. */
  peek(ahead = 0): string {
    return this.chars[this.at + ahead] ?? ''
  }

  next(): string {
    return this.chars[this.at++] ?? ''
  }

  /** Steps over `text` if it comes next. */
  take(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.peek(i) !== text[i]) return false
    this.at += text.length
    return true
  }

  /** Steps over the longest run of characters that `allowed` takes one by one. */
  takeRun(allowed: RegExp, maxLength: number): string {
    let run = ''
    while (run.length < maxLength && !this.isAtEnd && allowed.test(this.peek())) run += this.next()
    return run
  }

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
