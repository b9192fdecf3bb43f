/**
 * What JSON text that arrives in pieces says when it is read: escapes become their characters, so that no rule is evaded by writing a
 * word as `\u0066...` and none misses one that stands behind `\n`. Damaged escapes stay as they are.
 */

const SIMPLE: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', '"': '"', '\\': '\\', '/': '/' }

export class JsonTextReader {
  /** For each character read so far where it began in the JSON text. */
  readonly rawStarts: number[] = []
  /** Begin of an escape that is not whole yet. */
  private held = ''
  /** Characters of JSON text that were read, without `held`. */
  private numRaw = 0

  push(piece: string): string {
    const text = this.held + piece
    let read = ''
    let at = 0
    while (at < text.length) {
      const length = escapeLength(text, at)
      if (length === null) break
      const character = unescape(text.slice(at, at + length))
      this.rawStarts.push(...Array.from(character, () => this.numRaw + at))
      read += character
      at += length
    }
    this.numRaw += at
    this.held = text.slice(at)
    return read
  }

  finish(): string {
    const rest = this.held
    this.rawStarts.push(...Array.from({ length: rest.length }, (_, index) => this.numRaw + index))
    this.numRaw += rest.length
    this.held = ''
    return rest
  }

  /** Where what was read up to `index` ends in the JSON text. */
  rawOffset(index: number): number {
    return this.rawStarts[index] ?? this.numRaw
  }
}

/** null = more is needed to know. */
function escapeLength(text: string, at: number): number | null {
  if (text[at] !== '\\') return 1
  if (at + 1 >= text.length) return null
  if (text[at + 1] !== 'u') return 2
  const hex = /^[0-9a-fA-F]*/.exec(text.slice(at + 2, at + 6))![0]
  if (hex.length === 4) return 6
  return at + 2 + hex.length === text.length ? null : 1
}

/** Always one UTF-16 unit, or the escape as it stands. */
function unescape(escape: string): string {
  if (escape.length === 6) return String.fromCharCode(Number.parseInt(escape.slice(2), 16))
  return escape.length === 2 ? (SIMPLE[escape[1]!] ?? escape[1]!) : escape
}
