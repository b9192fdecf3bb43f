/**
 * A Grammar as GBNF text that llama.cpp, xgrammar and our own parser take: names without underscores, escapes of fixed length, regular
 * languages as right-linear rules. Token expressions have no form that all three know.
 */
import { BugError } from '#base/assert'
import type { CharAutomaton } from '#engine/grammar/char-automaton'
import type { Expr, Grammar } from '#engine/grammar/grammar'

export function printGbnf(grammar: Grammar): string {
  return new GbnfPrinter(grammar).print()
}

class GbnfPrinter {
  private readonly grammar: Grammar
  private readonly names: readonly string[]
  private readonly taken = new Set(['root'])
  private readonly lines: string[] = []

  constructor(grammar: Grammar) {
    this.grammar = grammar
    this.names = grammar.rules.map(({ name }, id) => (id === grammar.root ? 'root' : this.freshName(name)))
  }

  print(): string {
    this.grammar.rules.forEach(({ body }, id) => this.lines.push(`${this.names[id]!} ::= ${this.choice(body)}`))
    return `${this.lines.join('\n')}\n`
  }

  /** Letters, digits and hyphens; begins with a letter. */
  private freshName(wish: string): string {
    const base = `r-${wish.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 40)}`
    let name = base
    for (let i = 2; this.taken.has(name); i++) name = `${base}-${i}`
    this.taken.add(name)
    return name
  }

  private choice(expr: Expr): string {
    if (expr.kind !== 'choice') return this.sequence(expr)
    return expr.items.length === 0 ? this.nothing() : expr.items.map((item) => this.sequence(item)).join(' | ')
  }

  private sequence(expr: Expr): string {
    if (expr.kind !== 'sequence') return this.atom(expr)
    return expr.items.length === 0 ? '""' : expr.items.map((item) => this.atom(item)).join(' ')
  }

  private atom(expr: Expr): string {
    switch (expr.kind) {
      case 'text':
        return `"${Array.from(expr.text, (char) => printChar(char.codePointAt(0)!)).join('')}"`
      case 'chars':
        return expr.ranges.length === 0 ? this.nothing() : printClass(expr.ranges)
      case 'regular':
        return this.regular(expr.automaton)
      case 'repeat':
        return this.repeat(expr)
      case 'rule':
        return this.names[expr.id]!
      case 'sequence':
      case 'choice':
        return `(${this.choice(expr)})`
      case 'token':
        throw new BugError('a grammar with tokens cannot be printed')
    }
  }

  private repeat({ body, min, max }: Extract<Expr, { kind: 'repeat' }>): string {
    if (max === 0) return '""'
    const count = max !== null ? `{${min},${max}}` : min === 0 ? '*' : min === 1 ? '+' : `{${min},}`
    return `(${this.choice(body)})${count}`
  }

  /** A rule for each state; the first state's name. */
  private regular(automaton: CharAutomaton): string {
    const names = automaton.edges.map(() => this.freshName('state'))
    automaton.edges.forEach((edges, state) => {
      const targets = new Map<number, number[]>()
      for (const { first, last, target } of edges) targets.set(target, [...(targets.get(target) ?? []), first, last])
      const items = [...targets].map(([target, ranges]) => `${printClass(ranges)} ${names[target]!}`)
      if (automaton.accepting[state]!) items.push('""')
      this.lines.push(`${names[state]!} ::= ${items.length === 0 ? this.nothing() : items.join(' | ')}`)
    })
    return names[0]!
  }

  /** A rule that never ends. */
  private nothing(): string {
    const name = this.freshName('nothing')
    this.lines.push(`${name} ::= "x" ${name}`)
    return name
  }
}

/** One class of the ASCII ranges, and one of each other range: xgrammar 0.1.27 loses members of a class that mixes lengths of UTF-8. */
function printClass(ranges: readonly number[]): string {
  const ascii: string[] = []
  const others: string[] = []
  for (let i = 0; i < ranges.length; i += 2) {
    const [first, last] = [ranges[i]!, ranges[i + 1]!]
    if (first < 0x80) ascii.push(printRange(first, Math.min(last, 0x7f)))
    if (last >= 0x80) others.push(`[${printRange(Math.max(first, 0x80), last)}]`)
  }
  const classes = ascii.length === 0 ? others : [`[${ascii.join('')}]`, ...others]
  return classes.length === 1 ? classes[0]! : `(${classes.join(' | ')})`
}

function printRange(first: number, last: number): string {
  return first === last ? printChar(first) : `${printChar(first)}-${printChar(last)}`
}

/** Letters, digits and blanks as they are, everything else escaped: good in strings and in classes. */
function printChar(codePoint: number): string {
  if (/^[A-Za-z0-9 ]$/.test(String.fromCodePoint(codePoint))) return String.fromCodePoint(codePoint)
  const hex = codePoint.toString(16)
  return codePoint > 0xffff ? `\\U${hex.padStart(8, '0')}` : `\\u${hex.padStart(4, '0')}`
}
