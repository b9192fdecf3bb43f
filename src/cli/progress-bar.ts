/** A progress bar on a terminal's standard error; silent elsewhere. */

export interface TerminalWriter {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const BAR_COLUMNS = 30
/** Loads shorter than this many redraws show nothing but their end. */
const MIN_FRACTION_STEP = 0.01

export class ProgressBar {
  private readonly label: string
  private readonly terminal: TerminalWriter
  private readonly formatTotal: (total: number) => string
  private drawnFraction = -1

  /** Of bytes, when nothing else is said. */
  constructor(label: string, terminal: TerminalWriter = process.stderr, formatTotal = formatBytes) {
    this.label = label
    this.terminal = terminal
    this.formatTotal = formatTotal
  }

  update(done: number, total: number): void {
    const fraction = total === 0 ? 1 : Math.min(done / total, 1)
    if (this.terminal.isTTY !== true || (fraction < 1 && fraction - this.drawnFraction < MIN_FRACTION_STEP)) return
    this.drawnFraction = fraction
    const filled = Math.round(fraction * BAR_COLUMNS)
    const bar = '#'.repeat(filled) + '.'.repeat(BAR_COLUMNS - filled)
    this.terminal.write(`\r${this.label} [${bar}] ${String(Math.round(fraction * 100)).padStart(3)} % of ${this.formatTotal(total)}`)
  }

  /** Clears the line. */
  end(): void {
    if (this.terminal.isTTY === true && this.drawnFraction >= 0) this.terminal.write(`\r${' '.repeat(this.terminal.columns ?? 80)}\r`)
    this.drawnFraction = -1
  }
}

/** 1536 -> `1.5 KiB`. */
export function formatBytes(numBytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(Math.floor(Math.log2(Math.max(numBytes, 1)) / 10), units.length - 1)
  return `${(numBytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`
}
