/**
 * Membership and prefixes of a Grammar, worked out on its expressions alone, by least fixpoints over the places of one text: an oracle
 * that shares nothing with automata. Exponentially safe, polynomially slow: for texts of some twenty symbols.
 */
import { unreachable } from '#base/assert'
import type { CharAutomaton } from '#engine/grammar/char-automaton'
import type { Expr, Grammar } from '#engine/grammar/grammar'

/** A code point, or `tokenSymbol(id)`. */
export type TextSymbol = number

export function tokenSymbol(tokenId: number): TextSymbol {
  return -1 - tokenId
}

export interface Judgement {
  /** The text is in the language. */
  readonly isWhole: boolean
  /** Some text of the language begins with the text. */
  readonly isPrefix: boolean
}

/** By each prefix of `symbols`, the empty one first. */
export function judgePrefixes(grammar: Grammar, symbols: readonly TextSymbol[]): Judgement[] {
  const lengths = Array.from({ length: symbols.length + 1 }, (_, length) => length)
  return lengths.map((length) => judge(grammar, symbols.slice(0, length)))
}

export function judge(grammar: Grammar, symbols: readonly TextSymbol[]): Judgement {
  const chart = new Chart(grammar, symbols)
  return {
    isWhole: chart.ends({ kind: 'rule', id: grammar.root }, 0).has(symbols.length),
    isPrefix: chart.begins({ kind: 'rule', id: grammar.root }, 0),
  }
}

class Chart {
  private readonly grammar: Grammar
  private readonly symbols: readonly TextSymbol[]
  /** By rule and place: known ends, and whether the rest of the text begins a text of the rule. They only grow. */
  private readonly ruleEnds: Set<number>[][]
  private readonly ruleBegins: boolean[][]

  constructor(grammar: Grammar, symbols: readonly TextSymbol[]) {
    this.grammar = grammar
    this.symbols = symbols
    const places = Array.from({ length: symbols.length + 1 }, (_, place) => place)
    this.ruleEnds = grammar.rules.map(() => places.map(() => new Set<number>()))
    this.ruleBegins = grammar.rules.map(() => places.map(() => false))
    this.grow((rule, place) => {
      const known = this.ruleEnds[rule]![place]!
      const before = known.size
      for (const end of this.ends(grammar.rules[rule]!.body, place)) known.add(end)
      return known.size > before
    })
    this.grow((rule, place) => {
      if (this.ruleBegins[rule]![place]! || !this.begins(grammar.rules[rule]!.body, place)) return false
      return (this.ruleBegins[rule]![place] = true)
    })
  }

  private grow(improve: (rule: number, place: number) => boolean): void {
    for (let changed = true; changed;) {
      changed = false
      for (let rule = 0; rule < this.grammar.rules.length; rule++) {
        for (let place = this.symbols.length; place >= 0; place--) if (improve(rule, place)) changed = true
      }
    }
  }

  /** Where texts of `expr` that begin at `place` end. */
  ends(expr: Expr, place: number): Set<number> {
    switch (expr.kind) {
      case 'text':
        return this.textEnds(expr.text, place)
      case 'chars':
        return this.oneSymbol(place, (symbol) => isInRanges(expr.ranges, symbol))
      case 'token':
        return this.oneSymbol(place, (symbol) => symbol === tokenSymbol(expr.tokenId))
      case 'regular':
        return this.regularEnds(expr.automaton, place)
      case 'sequence':
        return expr.items.reduce((places, item) => this.endsFromAll(item, places), new Set([place]))
      case 'choice':
        return new Set(expr.items.flatMap((item) => [...this.ends(item, place)]))
      case 'repeat':
        return new Set(this.levels(expr.body, expr.max, place).flatMap((level, count) => (count >= expr.min ? [...level] : [])))
      case 'rule':
        return this.ruleEnds[expr.id]![place]!
      default:
        return unreachable(expr)
    }
  }

  /** Some text of `expr` begins with the whole rest of the text from `place` on. */
  begins(expr: Expr, place: number): boolean {
    const rest = this.symbols.slice(place)
    switch (expr.kind) {
      case 'text': {
        const codes = codePoints(expr.text)
        return rest.length <= codes.length && rest.every((symbol, i) => symbol === codes[i])
      }
      case 'chars':
        return rest.length === 0 ? hasChar(expr.ranges) : rest.length === 1 && isInRanges(expr.ranges, rest[0]!)
      case 'token':
        return rest.length === 0 || (rest.length === 1 && rest[0] === tokenSymbol(expr.tokenId))
      case 'regular':
        return this.regularBegins(expr.automaton, rest)
      case 'sequence':
        return this.sequenceBegins(expr.items, place)
      case 'choice':
        return expr.items.some((item) => this.begins(item, place))
      case 'repeat':
        return this.repeatBegins(expr, place)
      case 'rule':
        return this.ruleBegins[expr.id]![place]!
      default:
        return unreachable(expr)
    }
  }

  private textEnds(text: string, place: number): Set<number> {
    const codes = codePoints(text)
    return new Set(codes.every((code, i) => this.symbols[place + i] === code) ? [place + codes.length] : [])
  }

  private oneSymbol(place: number, fits: (symbol: TextSymbol) => boolean): Set<number> {
    return new Set(place < this.symbols.length && fits(this.symbols[place]!) ? [place + 1] : [])
  }

  private regularEnds(automaton: CharAutomaton, place: number): Set<number> {
    const ends = new Set<number>()
    let state: number | undefined = 0
    for (let at = place; state !== undefined; at++) {
      if (automaton.accepting[state]!) ends.add(at)
      state = at < this.symbols.length ? follow(automaton, state, this.symbols[at]!) : undefined
    }
    return ends
  }

  private regularBegins(automaton: CharAutomaton, rest: readonly TextSymbol[]): boolean {
    let state: number | undefined = 0
    for (const symbol of rest) {
      state = follow(automaton, state, symbol)
      if (state === undefined) return false
    }
    return automaton.accepting[state]! || automaton.edges[state]!.length > 0
  }

  private endsFromAll(expr: Expr, places: ReadonlySet<number>): Set<number> {
    return new Set([...places].flatMap((place) => [...this.ends(expr, place)]))
  }

  private sequenceBegins(items: readonly Expr[], place: number): boolean {
    if (items.length === 0) return place === this.symbols.length
    let places = new Set([place])
    for (const [index, item] of items.entries()) {
      const others = items.slice(index + 1)
      const matchesSomething = others.every((other) => this.begins(other, this.symbols.length))
      if (matchesSomething && [...places].some((at) => this.begins(item, at))) return true
      places = this.endsFromAll(item, places)
    }
    return false
  }

  /** By count: where that many copies end. Ends early when nothing changes any more. */
  private levels(body: Expr, max: number | null, place: number): Set<number>[] {
    const levels = [new Set([place])]
    while (max === null || levels.length <= max) {
      const last = levels.at(-1)!
      const next = this.endsFromAll(body, last)
      levels.push(next)
      if (levels.length > 2 * this.symbols.length + MAX_TESTED_COUNT) break
    }
    return levels
  }

  private repeatBegins({ body, min, max }: Extract<Expr, { kind: 'repeat' }>, place: number): boolean {
    if (max !== null && max < min) return false
    return this.levels(body, max, place).some((level, count) => {
      if (count >= min && level.has(this.symbols.length)) return true
      return (max === null || count < max) && [...level].some((at) => this.begins(body, at))
    })
  }
}

/** `min` of the repeats that tests make is below. */
const MAX_TESTED_COUNT = 100

function follow(automaton: CharAutomaton, state: number, symbol: TextSymbol): number | undefined {
  return automaton.edges[state]!.find((edge) => edge.first <= symbol && symbol <= edge.last)?.target
}

function isInRanges(ranges: readonly number[], symbol: TextSymbol): boolean {
  return ranges.some((first, i) => i % 2 === 0 && first <= symbol && symbol <= ranges[i + 1]!) && !(symbol >= 0xd800 && symbol <= 0xdfff)
}

function hasChar(ranges: readonly number[]): boolean {
  return ranges.some((first, i) => i % 2 === 0 && !(first >= 0xd800 && ranges[i + 1]! <= 0xdfff))
}

function codePoints(text: string): number[] {
  return Array.from(text, (char) => char.codePointAt(0)!)
}
