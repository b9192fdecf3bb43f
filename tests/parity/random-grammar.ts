/** Seeded random grammars over a small alphabet, and texts that are derived from them, changed, or random. */
import type { Random } from '#base/random'
import type { CharAutomaton, CharEdge } from '#engine/grammar/char-automaton'
import type { Expr, Grammar, RuleId } from '#engine/grammar/grammar'
import { tokenSymbol, type TextSymbol } from './grammar-oracle.ts'

/** One to four UTF-8 bytes; two pairs that share lead bytes. */
export const ALPHABET = ['a', 'b', 'c', 'é', 'è', '日', '𝄞', '𝄟'].map((char) => char.codePointAt(0)!)

export interface RandomGrammarOptions {
  /** Special tokens that rules may use; none = no token. */
  readonly tokenIds: readonly number[]
  /** Largest `max` of a repeat. */
  readonly maxCount: number
}

export function randomGrammar(random: Random, options: RandomGrammarOptions): Grammar {
  const numRules = 1 + random.nextInt(5)
  const rules = Array.from({ length: numRules }, (_, id) => ({ name: `r${id}`, body: randomExpr(random, options, numRules, 1 + random.nextInt(3)) }))
  return { rules, root: 0 as RuleId }
}

function randomExpr(random: Random, options: RandomGrammarOptions, numRules: number, depth: number): Expr {
  const kind = random.nextInt(depth > 0 ? 13 : 7)
  const inner = (): Expr => randomExpr(random, options, numRules, depth - 1)
  if (kind <= 1) return { kind: 'text', text: randomText(random, random.nextInt(4)) }
  if (kind === 2) return { kind: 'chars', ranges: randomRanges(random) }
  if (kind === 3) return { kind: 'regular', automaton: randomAutomaton(random) }
  if (kind === 4 && options.tokenIds.length > 0) return { kind: 'token', tokenId: pick(random, options.tokenIds) }
  if (kind <= 6) return { kind: 'rule', id: random.nextInt(numRules) as RuleId }
  if (kind <= 8) return { kind: 'sequence', items: Array.from({ length: 1 + random.nextInt(3) }, inner) }
  if (kind <= 10) return { kind: 'choice', items: Array.from({ length: random.nextInt(12) === 0 ? 0 : 1 + random.nextInt(3) }, inner) }
  const min = random.nextInt(4) === 0 ? random.nextInt(options.maxCount) : random.nextInt(3)
  const max = random.nextInt(3) === 0 ? null : min + random.nextInt(random.nextInt(3) === 0 ? options.maxCount : 3)
  return { kind: 'repeat', body: inner(), min, max }
}

function randomText(random: Random, length: number): string {
  return Array.from({ length }, () => String.fromCodePoint(pick(random, ALPHABET))).join('')
}

function randomRanges(random: Random): number[] {
  const members = ALPHABET.filter(() => random.nextInt(3) === 0)
  return [...members].sort((a, b) => a - b).flatMap((code) => [code, code])
}

/** Trimmed, as the contract has it. */
function randomAutomaton(random: Random): CharAutomaton {
  const numStates = 1 + random.nextInt(3)
  const accepting = Array.from({ length: numStates }, () => random.nextInt(2) === 0)
  const edges = accepting.map((): CharEdge[] => {
    const codes = ALPHABET.filter(() => random.nextInt(4) === 0).sort((a, b) => a - b)
    return codes.map((code) => ({ first: code, last: code, target: random.nextInt(numStates) }))
  })
  return trim({ edges, accepting })
}

function trim({ edges, accepting }: CharAutomaton): CharAutomaton {
  const reached = new Set([0])
  for (const state of reached) for (const { target } of edges[state]!) reached.add(target)
  const ends = new Set(accepting.flatMap((accepts, state) => (accepts ? [state] : [])))
  for (let before = -1; before < ends.size;) {
    before = ends.size
    for (const [state, list] of edges.entries()) if (list.some(({ target }) => ends.has(target))) ends.add(state)
  }
  const kept = [0, ...[...reached].filter((state) => state !== 0 && ends.has(state))]
  const name = new Map(kept.map((state, index) => [state, index]))
  return {
    accepting: kept.map((state) => accepting[state]!),
    edges: kept.map((state) => edges[state]!.flatMap((edge) => (ends.has(edge.target) ? [{ ...edge, target: name.get(edge.target)! }] : []))),
  }
}

/** Usually, but not always, in the language: a derivation that runs out of fuel stops in the middle. */
export function deriveText(random: Random, grammar: Grammar): TextSymbol[] {
  const symbols: TextSymbol[] = []
  let fuel = 200
  const derive = (expr: Expr): void => {
    if (fuel-- <= 0 || symbols.length > 24) return
    if (expr.kind === 'text') symbols.push(...Array.from(expr.text, (char) => char.codePointAt(0)!))
    else if (expr.kind === 'chars' && expr.ranges.length > 0) symbols.push(expr.ranges[2 * random.nextInt(expr.ranges.length / 2)]!)
    else if (expr.kind === 'token') symbols.push(tokenSymbol(expr.tokenId))
    else if (expr.kind === 'sequence') expr.items.forEach(derive)
    else if (expr.kind === 'choice' && expr.items.length > 0) derive(pick(random, expr.items))
    else if (expr.kind === 'rule') derive(grammar.rules[expr.id]!.body)
    else if (expr.kind === 'repeat') {
      const extra = random.nextInt(Math.min(4, expr.max === null ? 4 : Math.max(0, expr.max - expr.min) + 1))
      for (let i = 0; i < expr.min + extra && fuel > 0; i++) derive(expr.body)
    } else if (expr.kind === 'regular') symbols.push(...walk(random, expr.automaton))
  }
  derive({ kind: 'rule', id: grammar.root })
  return symbols
}

function walk(random: Random, { edges, accepting }: CharAutomaton): TextSymbol[] {
  const symbols: TextSymbol[] = []
  for (let state = 0; edges[state]!.length > 0 && !(accepting[state]! && random.nextInt(2) === 0) && symbols.length < 8;) {
    const edge = pick(random, edges[state]!)
    symbols.push(edge.first)
    state = edge.target
  }
  return symbols
}

/** Derived, then with one symbol changed, taken out or put in half of the time. */
export function randomSymbols(random: Random, grammar: Grammar, tokenIds: readonly number[], maxLength: number): TextSymbol[] {
  const any = (): TextSymbol => (tokenIds.length > 0 && random.nextInt(8) === 0 ? tokenSymbol(pick(random, tokenIds)) : pick(random, ALPHABET))
  if (random.nextInt(5) === 0) return Array.from({ length: random.nextInt(8) }, any)
  const symbols = deriveText(random, grammar).slice(0, maxLength)
  const place = random.nextInt(symbols.length + 1)
  if (random.nextInt(2) === 0) symbols.splice(place, random.nextInt(2), ...(random.nextInt(2) === 0 ? [any()] : []))
  return symbols
}

function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.nextInt(items.length)]!
}
