/**
 * Text on its way through the library's own string joining. A block of a template is joined as plain strings, in which no ranges could ride;
 * so a printed value that has ranges is replaced by a reference to a table, and resolved when the block is complete. The reference sign cannot
 * be forged: any text that holds it goes through the table too.
 */
import { appendRanges, type Ranges } from './provenance.ts'

export interface RangedText {
  readonly text: string
  readonly ranges: Ranges
}

const SIGN = '\ufffe'

export class PrintedText {
  private readonly table: RangedText[] = []

  /** The text itself, or a reference to it. */
  encode(text: string, ranges: Ranges): string {
    if (ranges.length === 0 && !text.includes(SIGN)) return text
    this.table.push({ text, ranges })
    return `${SIGN}${this.table.length - 1}${SIGN}`
  }

  decode(encoded: string): RangedText {
    if (!encoded.includes(SIGN)) return { text: encoded, ranges: [] }
    const parts = encoded.split(SIGN)
    const texts: string[] = []
    const ranges: number[] = []
    let length = 0
    parts.forEach((part, index) => {
      const entry = index % 2 === 0 ? null : this.table[Number(part)]!
      if (entry !== null) appendRanges(ranges, entry.ranges, length)
      const text = entry === null ? part : entry.text
      texts.push(text)
      length += text.length
    })
    return { text: texts.join(''), ranges }
  }

  /** Length of the decoded text. */
  decodedLength(encoded: string): number {
    if (!encoded.includes(SIGN)) return encoded.length
    return encoded.split(SIGN).reduce((sum, part, index) => sum + (index % 2 === 0 ? part.length : this.table[Number(part)]!.text.length), 0)
  }
}
