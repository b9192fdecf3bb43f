/** The terminals of GBNF: strings, classes, and their escapes. */
import { type CharRanges } from '#engine/grammar/char-automaton'
import { negateRanges, rangesOf } from '#engine/grammar/char-ranges'
import type { GbnfCursor } from './gbnf-cursor.ts'

const CONTROLS = new Map([
  ['n', 0x0a],
  ['r', 0x0d],
  ['t', 0x09],
  ['b', 0x08],
  ['f', 0x0c],
  ['a', 0x07],
  ['v', 0x0b],
  ['e', 0x1b],
  ['0', 0x00],
])

/** Digits of `\x`, `\u` and `\U`. */
const HEX_LENGTHS = new Map([
  ['x', 2],
  ['u', 4],
  ['U', 8],
])

/** The cursor stands behind the opening quote; afterwards behind the closing one. */
export function parseString(cursor: GbnfCursor, quote: string): string {
  const start = cursor.at - 1
  const chars: string[] = []
  while (!cursor.take(quote)) {
    if (cursor.isAtEnd) throw cursor.refusal('a string has no closing quote', start)
    chars.push(String.fromCodePoint(parseChar(cursor)))
  }
  return chars.join('')
}

/** The cursor stands behind the opening bracket; afterwards behind the closing one. `[^]` is any code point. */
export function parseCharClass(cursor: GbnfCursor): CharRanges {
  const start = cursor.at - 1
  const isNegated = cursor.take('^')
  const pairs: number[] = []
  while (!cursor.take(']')) {
    if (cursor.isAtEnd) throw cursor.refusal('a class has no closing bracket', start)
    const first = parseChar(cursor)
    const hyphen = cursor.at
    const isRange = cursor.peek() === '-' && cursor.peek(1) !== ']' && cursor.peek(1) !== ''
    if (isRange) cursor.next()
    const last = isRange ? parseChar(cursor) : first
    if (last < first) throw cursor.refusal('the range of a class is out of order', hyphen)
    pairs.push(first, last)
  }
  if (pairs.length === 0 && !isNegated) throw cursor.refusal('a class is empty', start)
  const ranges = rangesOf(pairs)
  return isNegated ? negateRanges(ranges) : ranges
}

/** A code point, never a surrogate. The cursor is not at the end. */
function parseChar(cursor: GbnfCursor): number {
  const start = cursor.at
  const char = cursor.next()
  const codePoint = char === '\\' ? parseEscape(cursor, start) : char.codePointAt(0)!
  if (codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint <= 0xdfff)) throw cursor.refusal('the escape is not a code point of text', start)
  return codePoint
}

function parseEscape(cursor: GbnfCursor, start: number): number {
  const letter = cursor.next()
  const control = CONTROLS.get(letter)
  if (control !== undefined) return control
  const numDigits = HEX_LENGTHS.get(letter)
  if (numDigits !== undefined) {
    const value = parseHex(cursor, numDigits, start)
    if (letter !== 'u' || value < 0xd800 || value > 0xdbff || cursor.peek() !== '\\' || cursor.peek(1) !== 'u') return value
    cursor.at += 2
    const trail = parseHex(cursor, 4, start)
    return trail >= 0xdc00 && trail <= 0xdfff ? 0x10000 + (value - 0xd800) * 0x400 + (trail - 0xdc00) : value
  }
  if (letter === '') throw cursor.refusal('the grammar ends in a backslash', start)
  if (/[\p{L}\p{N}\s]/u.test(letter)) throw cursor.refusal(`the escape \\${letter.trim()} is not supported`, start)
  return letter.codePointAt(0)!
}

function parseHex(cursor: GbnfCursor, numDigits: number, start: number): number {
  const digits = cursor.takeRun(/[0-9A-Fa-f]/, numDigits)
  if (digits.length < numDigits) throw cursor.refusal(`the escape needs ${numDigits} hexadecimal digits`, start)
  return parseInt(digits, 16)
}
