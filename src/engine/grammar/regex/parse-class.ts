/** Character classes of regular expressions: `[a-z\d]`, `[^...]`. */
import type { CharBudget } from '#engine/grammar/char-algebra-budget'
import type { CharRanges } from '#engine/grammar/char-automaton'
import { negateRanges, rangesOf } from '#engine/grammar/char-ranges'
import { type Escape, parseEscape } from './parse-escape.ts'
import type { PatternCursor } from './pattern-cursor.ts'

/** The cursor stands behind the opening bracket; afterwards behind the closing one. */
export function parseClass(cursor: PatternCursor, budget: CharBudget): CharRanges {
  const start = cursor.at - 1
  const isNegated = cursor.take('^')
  const pairs: number[] = []
  while (!cursor.take(']')) {
    const from = member(cursor, budget, start)
    // A hyphen beside a set (`[\w-.]`) or at the end stands for itself.
    const isRange = from.kind === 'char' && cursor.peek() === '-' && cursor.peek(1) !== ']' && cursor.peek(1) !== ''
    if (!isRange) {
      append(pairs, from)
      continue
    }
    const hyphen = cursor.at
    cursor.next()
    const to = member(cursor, budget, start)
    if (to.kind === 'set') {
      append(pairs, from)
      pairs.push(0x2d, 0x2d)
      append(pairs, to)
    } else if (from.codePoint > to.codePoint) throw cursor.refusal('the range of a class is out of order', hyphen)
    else pairs.push(from.codePoint, to.codePoint)
  }
  budget.spend(pairs.length)
  const ranges = rangesOf(pairs)
  return isNegated ? negateRanges(ranges) : ranges
}

function member(cursor: PatternCursor, budget: CharBudget, start: number): Escape {
  if (cursor.isAtEnd) throw cursor.refusal('a class has no closing bracket', start)
  const at = cursor.at
  const char = cursor.next()
  if (char === '\\') return parseEscape(cursor, 'class', budget)
  if (char === '[' && /[:.=]/.test(cursor.peek())) throw cursor.refusal('POSIX classes ([:alpha:]) are not supported', at)
  return { kind: 'char', codePoint: char.codePointAt(0)! }
}

function append(pairs: number[], escape: Escape): void {
  if (escape.kind === 'char') pairs.push(escape.codePoint, escape.codePoint)
  else for (const point of escape.ranges) pairs.push(point)
}
