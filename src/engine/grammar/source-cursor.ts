/** Reads a source text (a pattern, a grammar) code point by code point. Who reads one words refusals with its own kind of place. */
export class SourceCursor {
  /** Index of the next code point. */
  at = 0
  protected readonly chars: readonly string[]

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

  /** Steps over the longest run of characters that `allowed` takes one by one, at most `maxLength`. */
  takeRun(allowed: RegExp, maxLength: number): string {
    let run = ''
    while (run.length < maxLength && !this.isAtEnd && allowed.test(this.peek())) run += this.next()
    return run
  }
}
