/**
 * GBNF, the grammar language of llama.cpp, and what xgrammar takes beyond it: bodies over several lines without parentheses, more escapes,
 * single quotes. `name ::= body`; a line that begins with a name and `::=` begins a rule. Left recursion is fine.
 *
 * Where the two differ, llama.cpp's reading holds: `.` is any code point and no part of a name, `\x` has two digits.
 */
import { ANY_CHAR } from '#engine/grammar/char-automaton'
import { EMPTY_TEXT, type Expr, type Grammar, NOTHING, type RuleId } from '#engine/grammar/grammar'
import { GrammarBuilder } from '#engine/grammar/grammar-builder'
import { type GrammarLimits, refuseGrammar } from '#engine/grammar/grammar-limits'
import { GbnfCursor } from './gbnf-cursor.ts'
import { parseCharClass, parseString } from './parse-terminal.ts'

/** The special token that `<[1000]>` or `<think>` means; null: there is none. */
export type TokenLookup = (reference: number | string) => number | null

const NO_TOKENS: TokenLookup = () => null

const NAME_CHAR = /^[A-Za-z0-9_-]$/
const MAX_NAME_LENGTH = 256
/** Larger counts serve nobody: a text of a million parts. */
const MAX_COUNT = 1_000_000
/** `"a"{2}?*`: each is a level of nesting. */
const MAX_STACKED_COUNTS = 4

/** Throws InferdError with line and column. */
export function parseGbnf(source: string, limits: GrammarLimits, tokenIdOf: TokenLookup = NO_TOKENS): Grammar {
  if (Buffer.byteLength(source) > limits.maxSourceBytes) throw refuseGrammar(`the grammar has more than ${limits.maxSourceBytes} bytes`)
  return new GbnfParser(source, limits, tokenIdOf).parse()
}

class GbnfParser {
  private readonly cursor: GbnfCursor
  private readonly limits: GrammarLimits
  private readonly tokenIdOf: TokenLookup
  private readonly builder = new GrammarBuilder()
  private readonly ids = new Map<string, RuleId>()
  /** By name: where a rule was first called. */
  private readonly firstUses = new Map<string, number>()
  private readonly defined = new Set<string>()
  private numNodes = 0
  private depth = 0

  constructor(source: string, limits: GrammarLimits, tokenIdOf: TokenLookup) {
    this.cursor = new GbnfCursor(source)
    this.limits = limits
    this.tokenIdOf = tokenIdOf
  }

  parse(): Grammar {
    this.cursor.skipSpace()
    while (!this.cursor.isAtEnd) this.rule()
    for (const [name, start] of this.firstUses) {
      if (!this.defined.has(name)) throw this.cursor.refusal(`the rule ${name} is not defined`, start)
    }
    if (!this.defined.has('root')) throw refuseGrammar('the grammar has no rule named root')
    return this.builder.build(this.ids.get('root')!)
  }

  private rule(): void {
    const { cursor } = this
    const start = cursor.at
    const name = this.ruleHead()
    if (this.defined.has(name)) throw cursor.refusal(`the rule ${name} is defined twice`, start)
    const id = this.idOf(name, start)
    this.defined.add(name)
    cursor.skipSpace()
    this.builder.define(id, this.choice(false))
    if (!cursor.isAtEnd && !this.isRuleHead()) throw this.unexpected()
  }

  /** Steps over a name and `::=`. */
  private ruleHead(): string {
    const { cursor } = this
    const start = cursor.at
    const name = this.name()
    cursor.takeRun(/[ \t]/, Infinity)
    if (name !== '' && cursor.take('::=')) return name
    const isLark = cursor.peek() === ':' || /^[%?]$/.test(cursor.peek()) || (name === '' && cursor.peek() === '/')
    if (isLark) throw cursor.refusal('this looks like Lark, which is not supported: rules are written as name ::= body (GBNF)', start)
    if (cursor.peek() === '[') throw cursor.refusal('options of rules are not supported', cursor.at)
    throw cursor.refusal('a rule must begin with its name and ::=', start)
  }

  private isRuleHead(): boolean {
    const { cursor } = this
    let ahead = 0
    while (NAME_CHAR.test(cursor.peek(ahead))) ahead++
    if (ahead === 0) return false
    while (cursor.peek(ahead) === ' ' || cursor.peek(ahead) === '\t') ahead++
    return cursor.peek(ahead) === ':' && cursor.peek(ahead + 1) === ':' && cursor.peek(ahead + 2) === '='
  }

  private name(): string {
    const start = this.cursor.at
    const name = this.cursor.takeRun(NAME_CHAR, MAX_NAME_LENGTH)
    if (NAME_CHAR.test(this.cursor.peek())) throw this.cursor.refusal(`the name of a rule has more than ${MAX_NAME_LENGTH} characters`, start)
    return name
  }

  private idOf(name: string, start: number): RuleId {
    const known = this.ids.get(name)
    if (known !== undefined) return known
    if (this.ids.size >= this.limits.maxRules) throw this.cursor.refusal(`the grammar has more than ${this.limits.maxRules} rules`, start)
    const id = this.builder.declare(name)
    this.ids.set(name, id)
    return id
  }

  /** Ends before `)`, before the head of the next rule, or at the end. `isNested`: inside parentheses, where no rule can begin. */
  private choice(isNested: boolean): Expr {
    const items = [this.sequence(isNested)]
    while (this.cursor.take('|')) {
      this.cursor.skipSpace()
      items.push(this.sequence(isNested))
    }
    return items.length === 1 ? items[0]! : this.node({ kind: 'choice', items })
  }

  /** Space is skipped before and behind it. */
  private sequence(isNested: boolean): Expr {
    const { cursor } = this
    const items: Expr[] = []
    // Behind `::=` and `|` a rule may begin too: an empty body, or a grammar that ends in a bar.
    let mayBeginRule = !isNested
    while (!cursor.isAtEnd && cursor.peek() !== '|' && cursor.peek() !== ')') {
      if (mayBeginRule && this.isRuleHead()) break
      const term = this.term(isNested)
      items.push(term.expr)
      mayBeginRule = !isNested && term.endsLine
    }
    if (items.length === 0) return EMPTY_TEXT
    return items.length === 1 ? items[0]! : this.node({ kind: 'sequence', items })
  }

  private term(isNested: boolean): { readonly expr: Expr; readonly endsLine: boolean } {
    const { cursor } = this
    let expr = this.atom()
    let endsLine = cursor.skipSpace()
    for (let numCounts = 0; ; numCounts++) {
      const start = cursor.at
      const count = endsLine && !isNested && this.isRuleHead() ? null : this.count()
      if (count === null) return { expr, endsLine }
      if (numCounts >= MAX_STACKED_COUNTS) throw cursor.refusal(`more than ${MAX_STACKED_COUNTS} counts follow one part`, start)
      expr = this.node({ kind: 'repeat', body: expr, ...count })
      endsLine = cursor.skipSpace()
    }
  }

  private atom(): Expr {
    const { cursor } = this
    const start = cursor.at
    const char = cursor.peek()
    if (NAME_CHAR.test(char)) {
      const name = this.name()
      if (!this.firstUses.has(name)) this.firstUses.set(name, start)
      return this.node({ kind: 'rule', id: this.idOf(name, start) })
    }
    if (char === '"' || char === "'") {
      cursor.next()
      const text = parseString(cursor, char)
      return this.node({ kind: 'text', text })
    }
    if (cursor.take('[')) {
      const ranges = parseCharClass(cursor)
      return this.node(ranges.length === 0 ? NOTHING : { kind: 'chars', ranges })
    }
    if (cursor.take('.')) return this.node({ kind: 'chars', ranges: ANY_CHAR })
    if (cursor.take('(')) return this.group(start)
    if (char === '!') throw cursor.refusal('negated tokens are not supported', start)
    if (cursor.take('<')) return this.tokenReference(start)
    if (this.count() !== null) throw cursor.refusal(`${char} has nothing to repeat`, start)
    throw this.unexpected()
  }

  /** The cursor stands behind the opening parenthesis. */
  private group(start: number): Expr {
    const { cursor } = this
    if (cursor.peek() === '=') throw cursor.refusal('look-ahead (= is not supported', start)
    if (++this.depth > this.limits.maxDepth) throw cursor.refusal(`the grammar is nested deeper than ${this.limits.maxDepth}`, start)
    cursor.skipSpace()
    const body = this.choice(true)
    if (!cursor.take(')')) throw cursor.isAtEnd ? cursor.refusal('a group has no closing parenthesis', start) : this.unexpected()
    this.depth--
    return body
  }

  private tokenReference(start: number): Expr {
    const { cursor } = this
    const text = `<${cursor.takeRun(/[^>\r\n]/, MAX_NAME_LENGTH)}>`
    if (!cursor.take('>')) throw cursor.refusal('a token has no closing bracket >', start)
    const id = /^<\[([0-9]{1,9})\]>$/.exec(text)?.[1]
    const tokenId = this.tokenIdOf(id === undefined ? text : Number(id))
    if (tokenId === null) throw cursor.refusal(`${text} is not a special token of this model`, start)
    return this.node({ kind: 'token', tokenId })
  }

  /** Steps over `*`, `+`, `?` or a count in braces; null if none comes next. */
  private count(): { readonly min: number; readonly max: number | null } | null {
    const { cursor } = this
    if (cursor.take('*')) return { min: 0, max: null }
    if (cursor.take('+')) return { min: 1, max: null }
    if (cursor.take('?')) return { min: 0, max: 1 }
    const start = cursor.at
    if (!cursor.take('{')) return null
    cursor.skipSpace()
    const min = this.number(start)
    cursor.skipSpace()
    const hasComma = cursor.take(',')
    cursor.skipSpace()
    const max = !hasComma ? min : cursor.peek() === '}' ? null : this.number(start)
    cursor.skipSpace()
    if (!cursor.take('}')) throw cursor.refusal('a count must be written as {m}, {m,} or {m,n}', start)
    if (max !== null && max < min) throw cursor.refusal('the numbers of a count are out of order', start)
    return { min, max }
  }

  private number(start: number): number {
    const digits = this.cursor.takeRun(/[0-9]/, 32)
    if (digits === '') throw this.cursor.refusal('a count must be written as {m}, {m,} or {m,n}', start)
    if (Number(digits) > MAX_COUNT) throw this.cursor.refusal(`a count is larger than ${MAX_COUNT}`, start)
    return Number(digits)
  }

  private node(expr: Expr): Expr {
    if (++this.numNodes > this.limits.maxExprNodes) {
      throw this.cursor.refusal(`the grammar has more than ${this.limits.maxExprNodes} parts`, this.cursor.at)
    }
    return expr
  }

  private unexpected(): Error {
    const { cursor } = this
    if (cursor.peek() === ':') return cursor.refusal('::= must follow a name at the beginning of a line', cursor.at)
    return cursor.refusal(`${JSON.stringify(cursor.peek())} is not expected here`, cursor.at)
  }
}
