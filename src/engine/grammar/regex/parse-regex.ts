/**
 * Regular expressions in the syntax of ECMA-262 with the meaning of its `u` flag: text is code points. Where `u` is strict and the plain
 * syntax has one clear meaning, that one is taken (`\-`, a brace or bracket that stands for itself, `[\w-.]`), because schemas are full of it.
 * Dot is any code point but a line end (no `s` flag). Linear, with a limit on depth; never JavaScript's own engine.
 */
import type { CharBudget } from '#engine/grammar/char-algebra-budget'
import { negateRanges, rangesOf } from '#engine/grammar/char-ranges'
import type { GrammarLimits } from '#engine/grammar/grammar-limits'
import { refuseGrammar } from '#engine/grammar/grammar-limits'
import { parseClass } from './parse-class.ts'
import { LINE_ENDS, parseEscape } from './parse-escape.ts'
import { PatternCursor } from './pattern-cursor.ts'
import type { RegexNode } from './regex-syntax.ts'

/** Larger counts are as good as this one: no budget pays for either. */
const MAX_COUNT = 1_000_000_000

/** Throws InferdError with the place of what is wrong or not supported. */
export function parseRegex(pattern: string, limits: GrammarLimits, budget: CharBudget): RegexNode {
  if (Buffer.byteLength(pattern) > limits.maxSourceBytes) throw refuseGrammar(`a pattern has more than ${limits.maxSourceBytes} bytes`, budget.place)
  return new RegexParser(pattern, limits, budget).parse()
}

class RegexParser {
  private readonly cursor: PatternCursor
  private readonly limits: GrammarLimits
  private readonly budget: CharBudget
  private depth = 0

  constructor(pattern: string, limits: GrammarLimits, budget: CharBudget) {
    this.cursor = new PatternCursor(pattern, budget.place)
    this.limits = limits
    this.budget = budget
  }

  parse(): RegexNode {
    const node = this.choice()
    if (!this.cursor.isAtEnd) throw this.cursor.refusal('a closing parenthesis has no opening one', this.cursor.at)
    return node
  }

  private choice(): RegexNode {
    const items = [this.sequence()]
    while (this.cursor.take('|')) items.push(this.sequence())
    return items.length === 1 ? items[0]! : { kind: 'choice', items }
  }

  private sequence(): RegexNode {
    const items: RegexNode[] = []
    while (!this.cursor.isAtEnd && this.cursor.peek() !== '|' && this.cursor.peek() !== ')') items.push(this.term())
    return items.length === 1 ? items[0]! : { kind: 'sequence', items }
  }

  private term(): RegexNode {
    this.budget.spend(1)
    const start = this.cursor.at
    const isAnchor = this.cursor.peek() === '^' || this.cursor.peek() === '$'
    const atom = this.atom()
    const count = this.quantifier()
    if (count === null) return atom
    if (isAnchor) throw this.cursor.refusal('an anchor cannot be repeated', start)
    // Greedy or lazy: the texts are the same.
    this.cursor.take('?')
    const again = this.cursor.at
    if (this.quantifier() !== null) throw this.cursor.refusal('a quantifier follows a quantifier', again)
    return { kind: 'repeat', body: atom, ...count }
  }

  private atom(): RegexNode {
    const { cursor } = this
    const start = cursor.at
    const isCount = this.quantifier() !== null
    if (isCount) throw cursor.refusal('a quantifier has nothing to repeat', start)
    const char = cursor.next()
    switch (char) {
      case '(':
        return this.group(start)
      case '[':
        return { kind: 'chars', ranges: parseClass(cursor, this.budget) }
      case '.':
        return { kind: 'chars', ranges: negateRanges(LINE_ENDS) }
      case '^':
        return { kind: 'text-start' }
      case '$':
        return { kind: 'text-end' }
      case '\\': {
        const escape = parseEscape(cursor, 'outside', this.budget)
        return { kind: 'chars', ranges: escape.kind === 'set' ? escape.ranges : rangesOf([escape.codePoint, escape.codePoint]) }
      }
    }
    const codePoint = char.codePointAt(0)!
    return { kind: 'chars', ranges: rangesOf([codePoint, codePoint]) }
  }

  /** The cursor stands behind the opening parenthesis. */
  private group(start: number): RegexNode {
    this.groupHead(start)
    if (++this.depth > this.limits.maxDepth) throw this.cursor.refusal(`groups are nested deeper than ${this.limits.maxDepth}`, start)
    const body = this.choice()
    if (!this.cursor.take(')')) throw this.cursor.refusal('a group has no closing parenthesis', start)
    this.depth--
    return body
  }

  private groupHead(start: number): void {
    const { cursor } = this
    if (!cursor.take('?') || cursor.take(':')) return
    for (const look of ['=', '!', '<=', '<!']) if (cursor.take(look)) throw cursor.refusal(`look-around (?${look} is not supported`, start)
    if (cursor.take('P=') || cursor.take('P>')) throw cursor.refusal('back references are not supported', start)
    if (cursor.take('P<') || cursor.take('<')) {
      const name = cursor.takeRun(/[\p{L}\p{N}_$]/u, 128)
      if (name === '' || !cursor.take('>')) throw cursor.refusal('the name of a group is not a name', start)
      return
    }
    if (/[a-zA-Z-]/.test(cursor.peek())) throw cursor.refusal('inline flags are not supported', start)
    throw cursor.refusal(`the group (?${cursor.peek()} is not supported`, start)
  }

  /** Steps over `*`, `+`, `?` or a count in braces; null if none comes next. A brace that opens no count stands for itself. */
  private quantifier(): { readonly min: number; readonly max: number | null } | null {
    const { cursor } = this
    if (cursor.take('*')) return { min: 0, max: null }
    if (cursor.take('+')) return { min: 1, max: null }
    if (cursor.take('?')) return { min: 0, max: 1 }
    const start = cursor.at
    if (!cursor.take('{')) return null
    const low = this.digits()
    const hasComma = cursor.take(',')
    const high = hasComma ? this.digits() : low
    if (!cursor.take('}') || (low === null && high === null)) {
      cursor.at = start
      return null
    }
    if (low === null) throw cursor.refusal('{,n} has different meanings in different places: write {0,n}', start)
    if (high !== null && high < low) throw cursor.refusal('the numbers of a quantifier are out of order', start)
    return { min: low, max: high }
  }

  /** Null: no digit comes next. */
  private digits(): number | null {
    let value: number | null = null
    while (/^[0-9]$/.test(this.cursor.peek())) value = Math.min((value ?? 0) * 10 + Number(this.cursor.next()), MAX_COUNT)
    return value
  }
}
