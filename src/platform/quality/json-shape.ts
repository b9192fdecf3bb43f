/** Can this still become the JSON that was asked for? The first character that says no, not a parser: models behind upstreams may ignore a format. */

export class JsonShape {
  private readonly isObject: boolean
  private depth = 0
  private isInString = false
  private isEscaped = false
  private hasBegun = false
  private hasEnded = false

  /** `isObject`: the text must be an object; otherwise any JSON value. */
  constructor({ isObject }: { readonly isObject: boolean }) {
    this.isObject = isObject
  }

  /** Characters of the piece before the first that cannot stand there; null = all may. */
  push(piece: string): number | null {
    for (let i = 0; i < piece.length; i++) if (!this.step(piece[i]!)) return i
    return null
  }

  private step(character: string): boolean {
    if (this.isInString) {
      if (this.isEscaped) this.isEscaped = false
      else if (character === '\\') this.isEscaped = true
      else if (character === '"') {
        this.isInString = false
        this.hasEnded = this.depth === 0
      }
      return character >= ' '
    }
    if (/[ \t\r\n]/.test(character)) return true
    if (this.hasEnded || (!this.hasBegun && this.isObject && character !== '{')) return false
    this.hasBegun = true
    if (character === '"') this.isInString = true
    else if (character === '{' || character === '[') this.depth++
    else if (character === '}' || character === ']') {
      this.depth--
      this.hasEnded = this.depth === 0
      return this.depth >= 0
    }
    // Outside of strings JSON is made of these.
    return /[{}[\],:"\d.+\-eEtrufalsn]/.test(character)
  }
}
