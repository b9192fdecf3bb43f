/** Where a JSON value in streamed text ends. Structure only: what stands inside is not checked, and nothing is kept but counters. */

export function isJsonSpace(unit: string): boolean {
  return unit === ' ' || unit === '\n' || unit === '\r' || unit === '\t'
}

/** Follows one string, array or object from its first unit on. */
export class JsonExtent {
  private depth = 0
  private isInString = false
  private isEscaped = false

  /** True with the unit that ends the value. */
  take(unit: string): boolean {
    if (this.isInString) return this.takeInString(unit)
    if (unit === '"') this.isInString = true
    else if (unit === '{' || unit === '[') this.depth += 1
    else if (unit === '}' || unit === ']') this.depth -= 1
    return this.depth === 0 && !this.isInString
  }

  private takeInString(unit: string): boolean {
    if (this.isEscaped) this.isEscaped = false
    else if (unit === '\\') this.isEscaped = true
    else if (unit === '"') this.isInString = false
    return this.depth === 0 && !this.isInString
  }
}
