/**
 * A place in the text of one held call, for syntaxes whose values are not JSON. Readers return false or null at the first thing that
 * does not fit and never throw; every unit is passed once.
 */

/** Nesting of lists and objects in the arguments of a call. */
export const MAX_VALUE_DEPTH = 32

export class ValueCursor {
  readonly text: string
  position = 0

  constructor(text: string) {
    this.text = text
  }

  get unit(): string {
    return this.text[this.position] ?? ''
  }

  get isAtEnd(): boolean {
    return this.position >= this.text.length
  }

  skipSpace(): void {
    while (this.unit === ' ' || this.unit === '\n' || this.unit === '\r' || this.unit === '\t') this.position += 1
  }

  /** Passes `wanted` if it stands here. */
  takeText(wanted: string): boolean {
    if (!this.text.startsWith(wanted, this.position)) return false
    this.position += wanted.length
    return true
  }

  /** Everything up to `end`, which is passed too; null when it never comes. */
  takeUntil(end: string): string | null {
    const found = this.text.indexOf(end, this.position)
    if (found < 0) return null
    const taken = this.text.slice(this.position, found)
    this.position = found + end.length
    return taken
  }

  /** A run of letters, digits, `_`, `-` and `.`; '' where there is none. */
  takeWord(): string {
    const start = this.position
    while (isWordUnit(this.unit)) this.position += 1
    return this.text.slice(start, this.position)
  }

  /** A JSON number as it is written; null where there is none. */
  takeNumber(): string | null {
    const start = this.position
    this.takeText('-')
    if (this.takeText('0') ? false : this.takeDigits() === 0) return this.back(start)
    if (this.takeText('.') && this.takeDigits() === 0) return this.back(start)
    if (this.takeText('e') || this.takeText('E')) {
      if (!this.takeText('+')) this.takeText('-')
      if (this.takeDigits() === 0) return this.back(start)
    }
    return isWordUnit(this.unit) ? this.back(start) : this.text.slice(start, this.position)
  }

  private takeDigits(): number {
    const start = this.position
    while (this.unit >= '0' && this.unit <= '9') this.position += 1
    return this.position - start
  }

  private back(start: number): null {
    this.position = start
    return null
  }
}

export function isWordUnit(unit: string): boolean {
  return (unit >= 'a' && unit <= 'z') || (unit >= 'A' && unit <= 'Z') || (unit >= '0' && unit <= '9') || unit === '_' || unit === '-' || unit === '.'
}

export interface Listing {
  readonly close: string
  /** Reads one member or item; null = malformed. */
  readonly readItem: () => string | null
}

/** What stands between an opening bracket, which was passed, and its closing one: items with commas, also behind the last. As JSON; null = malformed. */
export function readListing(cursor: ValueCursor, { close, readItem }: Listing): string | null {
  const items: string[] = []
  cursor.skipSpace()
  if (cursor.takeText(close)) return ''
  for (;;) {
    const item = readItem()
    if (item === null) return null
    items.push(item)
    cursor.skipSpace()
    if (cursor.takeText(close)) return items.join(', ')
    if (!cursor.takeText(',')) return null
    cursor.skipSpace()
    if (cursor.takeText(close)) return items.join(', ')
  }
}
