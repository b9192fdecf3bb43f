/** Reads a pattern code point by code point, and words refusals with the place. */
import type { InferdError } from '#contract/errors'
import { refuseGrammar } from '#engine/grammar/grammar-limits'

export class PatternCursor {
  /** Index of the next code point. */
  at = 0
  private readonly chars: readonly string[]
  private readonly place: string

  /** `place`: where the pattern itself stands; see refuseGrammar. */
  constructor(pattern: string, place: string) {
    this.chars = Array.from(pattern)
    this.place = place
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

  /** Steps over the longest run of characters from `allowed`, at most `maxLength`. */
  takeRun(allowed: RegExp, maxLength: number): string {
    let run = ''
    while (run.length < maxLength && !this.isAtEnd && allowed.test(this.peek())) run += this.next()
    return run
  }

  /** `start`: index of the code point that the refusal points at. Counted from 1 in the message. */
  refusal(reason: string, start: number): InferdError {
    return refuseGrammar(reason, `${this.place === '' ? 'at' : `${this.place},`} character ${start + 1}`)
  }
}
