/** One call as Python writes it, `f(a=1, b=[None, 'x'])`, to a name and JSON. Keywords and literals only; nothing is evaluated. */
import { MAX_VALUE_DEPTH, readListing, ValueCursor } from './value-cursor.ts'

const WORDS: ReadonlyMap<string, string> = new Map([
  ['True', 'true'],
  ['False', 'false'],
  ['None', 'null'],
  ['true', 'true'],
  ['false', 'false'],
  ['null', 'null'],
])
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['t', '\t'],
  ['r', '\r'],
  ['b', '\b'],
  ['f', '\f'],
  ['v', '\v'],
  ['a', '\u0007'],
  ['\\', '\\'],
  ["'", "'"],
  ['"', '"'],
  ['\n', ''],
])
/** Digits of escapes by code point. */
const ESCAPE_DIGITS: ReadonlyMap<string, number> = new Map([
  ['x', 2],
  ['u', 4],
  ['U', 8],
])

/** Null when the text is anything else. */
export function readPythonCall(text: string): { readonly name: string; readonly argumentsText: string } | null {
  const cursor = new ValueCursor(text)
  const name = cursor.takeWord()
  if (name === '' || !cursor.takeText('(')) return null
  const readItem = (): string | null => {
    const key = cursor.takeWord()
    cursor.skipSpace()
    if (key === '' || !cursor.takeText('=')) return null
    return readMember(cursor, key, 1)
  }
  const members = readListing(cursor, { close: ')', readItem })
  return members === null || !cursor.isAtEnd ? null : { name, argumentsText: `{${members}}` }
}

function readMember(cursor: ValueCursor, key: string, depth: number): string | null {
  cursor.skipSpace()
  const value = readLiteral(cursor, depth)
  return value === null ? null : `${JSON.stringify(key)}: ${value}`
}

function readLiteral(cursor: ValueCursor, depth: number): string | null {
  if (depth > MAX_VALUE_DEPTH) return null
  const { unit } = cursor
  if (unit === '"' || unit === "'") {
    const text = readString(cursor)
    return text === null ? null : JSON.stringify(text)
  }
  if (cursor.takeText('[')) {
    const items = readListing(cursor, { close: ']', readItem: () => readLiteral(cursor, depth + 1) })
    return items === null ? null : `[${items}]`
  }
  if (cursor.takeText('{')) {
    const members = readListing(cursor, { close: '}', readItem: () => readEntry(cursor, depth + 1) })
    return members === null ? null : `{${members}}`
  }
  return cursor.takeNumber() ?? WORDS.get(cursor.takeWord()) ?? null
}

/** `'key': value` of a dictionary. */
function readEntry(cursor: ValueCursor, depth: number): string | null {
  if (cursor.unit !== '"' && cursor.unit !== "'") return null
  const key = readString(cursor)
  cursor.skipSpace()
  return key === null || !cursor.takeText(':') ? null : readMember(cursor, key, depth)
}

/** The value of a string in either quote; null when it does not end. */
function readString(cursor: ValueCursor): string | null {
  const quote = cursor.unit
  const parts: string[] = []
  for (cursor.position += 1; !cursor.isAtEnd; cursor.position += 1) {
    const { unit } = cursor
    if (unit === quote) {
      cursor.position += 1
      return parts.join('')
    }
    parts.push(unit === '\\' ? readEscape(cursor) : unit)
  }
  return null
}

/** Stands on the backslash, and is left on the last unit of the escape. Unknown escapes stay as they are written. */
function readEscape(cursor: ValueCursor): string {
  cursor.position += 1
  const { unit } = cursor
  const numDigits = ESCAPE_DIGITS.get(unit)
  if (numDigits === undefined) return ESCAPES.get(unit) ?? `\\${unit}`
  const digits = cursor.text.slice(cursor.position + 1, cursor.position + 1 + numDigits)
  const codePoint = digits.length === numDigits && digits.split('').every(isHexDigit) ? Number.parseInt(digits, 16) : Number.NaN
  if (!(codePoint <= 0x10ffff)) return `\\${unit}`
  cursor.position += numDigits
  return String.fromCodePoint(codePoint)
}

function isHexDigit(unit: string): boolean {
  return (unit >= '0' && unit <= '9') || (unit >= 'a' && unit <= 'f') || (unit >= 'A' && unit <= 'F')
}
