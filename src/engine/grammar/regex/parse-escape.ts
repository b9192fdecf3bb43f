/** Escapes of regular expressions, in and out of classes. */
import type { CharBudget } from '#engine/grammar/char-algebra-budget'
import type { CharRanges } from '#engine/grammar/char-automaton'
import { negateRanges, rangesOf } from '#engine/grammar/char-ranges'
import type { PatternCursor } from './pattern-cursor.ts'
import { charsWithProperty } from './unicode-properties.ts'

/** A single code point (which may begin or end a range), or a set. */
export type Escape = { readonly kind: 'char'; readonly codePoint: number } | { readonly kind: 'set'; readonly ranges: CharRanges }

export const LINE_ENDS: CharRanges = rangesOf([0x0a, 0x0a, 0x0d, 0x0d, 0x2028, 0x2029])

const DIGITS: CharRanges = [0x30, 0x39]
const WORD_CHARS: CharRanges = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a]
/** White space and line ends of ECMA-262, 22.2.2.9. */
const SPACES: CharRanges = rangesOf([
  0x09, 0x0d, 0x20, 0x20, 0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000, 0xfeff, 0xfeff,
])

const SETS = new Map<string, CharRanges>([
  ['d', DIGITS],
  ['D', negateRanges(DIGITS)],
  ['w', WORD_CHARS],
  ['W', negateRanges(WORD_CHARS)],
  ['s', SPACES],
  ['S', negateRanges(SPACES)],
])

const CONTROLS = new Map([
  ['t', 0x09],
  ['n', 0x0a],
  ['v', 0x0b],
  ['f', 0x0c],
  ['r', 0x0d],
])

/** What asking for a property costs, remembered or not, so that refusals do not depend on who asked before. */
const PROPERTY_STEPS = 50_000

/** The cursor stands behind the backslash. */
export function parseEscape(cursor: PatternCursor, place: 'class' | 'outside', budget: CharBudget): Escape {
  const start = cursor.at - 1
  const letter = cursor.next()
  const set = SETS.get(letter)
  if (set !== undefined) return { kind: 'set', ranges: set }
  const control = CONTROLS.get(letter)
  if (control !== undefined) return char(control)
  switch (letter) {
    case '':
      throw cursor.refusal('the pattern ends in a backslash', start)
    case 'b':
      if (place === 'class') return char(0x08)
      throw cursor.refusal('word boundaries (\\b) are not supported', start)
    case 'B':
      throw cursor.refusal('word boundaries (\\B) are not supported', start)
    case 'k':
      throw cursor.refusal('back references (\\k) are not supported', start)
    case '0':
      if (/[0-9]/.test(cursor.peek())) throw cursor.refusal('octal escapes are not supported', start)
      return char(0)
    case 'c':
      if (!/[A-Za-z]/.test(cursor.peek())) throw cursor.refusal('\\c must be followed by a letter', start)
      return char(cursor.next().charCodeAt(0) % 32)
    case 'x':
      return char(hexDigits(cursor, 2, start))
    case 'u':
      return char(unicodeEscape(cursor, start))
    case 'p':
    case 'P':
      return { kind: 'set', ranges: propertyEscape(cursor, letter, start, budget) }
  }
  if (/[1-9]/.test(letter)) throw cursor.refusal(`back references (\\${letter}) are not supported`, start)
  if (/[A-Za-z]/.test(letter)) throw cursor.refusal(`the escape \\${letter} is not supported`, start)
  return char(letter.codePointAt(0)!)
}

function char(codePoint: number): Escape {
  return { kind: 'char', codePoint }
}

function hexDigits(cursor: PatternCursor, count: number, start: number): number {
  const digits = cursor.takeRun(/[0-9A-Fa-f]/, count)
  if (digits.length < count) throw cursor.refusal(`the escape needs ${count} hexadecimal digits`, start)
  return parseInt(digits, 16)
}

/** Behind `\u`: four digits, digits in braces, or four digits and the escape of the other half of a surrogate pair. */
function unicodeEscape(cursor: PatternCursor, start: number): number {
  if (cursor.take('{')) {
    cursor.takeRun(/0/, 64)
    const digits = cursor.takeRun(/[0-9A-Fa-f]/, 6)
    const hasDigits = digits !== '' || cursor.peek(-1) === '0'
    const codePoint = parseInt(digits === '' ? '0' : digits, 16)
    if (!hasDigits || codePoint > 0x10ffff || !cursor.take('}')) throw cursor.refusal('\\u{...} needs the hexadecimal number of a code point', start)
    return codePoint
  }
  const unit = hexDigits(cursor, 4, start)
  if (unit < 0xd800 || unit > 0xdbff || cursor.peek() !== '\\' || cursor.peek(1) !== 'u') return unit
  const before = cursor.at
  cursor.at += 2
  const digits = cursor.takeRun(/[0-9A-Fa-f]/, 4)
  const trail = digits.length === 4 ? parseInt(digits, 16) : 0
  if (trail >= 0xdc00 && trail <= 0xdfff) return 0x10000 + (unit - 0xd800) * 0x400 + (trail - 0xdc00)
  cursor.at = before
  return unit
}

function propertyEscape(cursor: PatternCursor, letter: 'p' | 'P', start: number, budget: CharBudget): CharRanges {
  if (!cursor.take('{')) throw cursor.refusal(`\\${letter} must be followed by a property in braces`, start)
  const property = cursor.takeRun(/[A-Za-z0-9_=]/, 97)
  budget.spend(PROPERTY_STEPS)
  const ranges = cursor.take('}') ? charsWithProperty(property) : null
  if (ranges === null) throw cursor.refusal(`there is no Unicode property for \\${letter}{${property}}`, start)
  return letter === 'p' ? ranges : negateRanges(ranges)
}
