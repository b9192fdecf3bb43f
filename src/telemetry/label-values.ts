/** Values of one metric label, bounded: names come from callers and operators, series must not. */
const OTHER = 'other'

export class LabelValues {
  private readonly known = new Set<string>()
  private readonly maxValues: number

  constructor(maxValues: number) {
    this.maxValues = maxValues
  }

  /** The value itself while there is room; `other` for those that come later. */
  of(value: string): string {
    if (this.known.has(value)) return value
    if (this.known.size >= this.maxValues) return OTHER
    this.known.add(value)
    return value
  }
}
