/** One row of comma-separated values, RFC 4180 without line breaks inside of cells: lines are records. */

const NEEDS_QUOTES = /[",\r\n]|^\s|\s$/

/** null = a quote is not closed, or something stands behind one. */
export function parseCsvRow(line: string): readonly string[] | null {
  const cells: string[] = []
  for (let at = 0; ;) {
    const cell = line[at] === '"' ? quotedCell(line, at) : plainCell(line, at)
    if (cell === null) return null
    cells.push(cell.text)
    if (cell.end === line.length) return cells
    at = cell.end + 1
  }
}

/** A row of one empty cell is not an empty line. */
export function printCsvRow(cells: readonly string[]): string {
  if (cells.length === 1 && cells[0] === '') return '""'
  return cells.map((cell) => (NEEDS_QUOTES.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')
}

interface Cell {
  readonly text: string
  /** Where its comma or the end of the line is. */
  readonly end: number
}

function plainCell(line: string, start: number): Cell {
  const comma = line.indexOf(',', start)
  const end = comma === -1 ? line.length : comma
  return { text: line.slice(start, end), end }
}

function quotedCell(line: string, start: number): Cell | null {
  let text = ''
  for (let from = start + 1; ;) {
    const quote = line.indexOf('"', from)
    if (quote === -1) return null
    text += line.slice(from, quote)
    const next = line[quote + 1]
    if (next === undefined || next === ',') return { text, end: quote + 1 }
    if (next !== '"') return null
    text += '"'
    from = quote + 2
  }
}
