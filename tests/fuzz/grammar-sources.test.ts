/** Hostile patterns and grammars: a result or a refusal, never another error, and never more steps than the budget has. */
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { CharBudget } from '#engine/grammar/char-algebra-budget'
import { isFinite, matchesText, shortestText } from '#engine/grammar/char-algebra-inspect'
import { parseGbnf } from '#engine/grammar/gbnf/parse-gbnf'
import { DEFAULT_GRAMMAR_LIMITS, type GrammarLimits } from '#engine/grammar/grammar-limits'
import { regexFoundIn, regexMatchingWhole } from '#engine/grammar/regex/compile-regex'

const LIMITS: GrammarLimits = { ...DEFAULT_GRAMMAR_LIMITS, maxCharStates: 450, maxDepth: 20, maxExprNodes: 2000, maxRules: 50 }
/** The dearest single thing, a Unicode property, is paid before it is done. */
const MAX_OVERDRAFT = 50_000

const PATTERNS = [
  '^[a-zA-Z0-9._%+-]+@[a-z]{2,}\\.[a-z]{2,}$',
  '(?:\\d{1,3}\\.){3}\\d{1,3}',
  '^(?<year>\\d{4})-(0[1-9]|1[0-2])$',
  '\\u{1F600}|\\ud83d\\ude00|[^\\u0000-\\u001f"\\\\]*?',
  '(a+)+b|((a|aa)*c?){2,5}',
  '\\p{Lu}[\\w-.]+(?P<x>\\s\\S)\\cA\\x41',
  '.*a.{6}(x{0,30}y{0,30}){0,9}$',
]
const GRAMMARS = [
  'root ::= (\n "a" [^b-d]* # c\n | item{2,5}\n)\nitem ::= "\\u00e9\\x41" root? <[12]>\n',
  'root ::= root "a" | x\nx ::= .+ ("(" x ")")* [\\]\\-] | ""\n',
  'root ::=\n  a\n  b{3}\na ::= \'q\' |\n  "\\n"\nb ::= [^] !<t>\n',
]
const PIECES = [
  '(',
  ')',
  '[',
  ']',
  '{',
  '}',
  '{9}',
  '{0,}',
  '{,2}',
  '*',
  '+',
  '?',
  '|',
  '^',
  '$',
  '\\',
  '.',
  '-',
  '"',
  "'",
  '::=',
  '\n',
  '#',
  '<',
  '>',
  '(?',
  '(?=',
  '\\p{L}',
]
const MORE_PIECES = [
  '\\1',
  '\\b',
  '\\u',
  '\\u{',
  '\\x',
  ':',
  '😀',
  '\ud800',
  '\0',
  'é',
  'root',
  'a',
  '999999999999',
  '((((((((',
  '[^',
  ']]',
  '__proto__',
  ' ',
  '\r',
]

function mutate(random: SeededRandom, seed: string, others: readonly string[]): string {
  let text = seed
  for (let i = 1 + random.nextInt(6); i > 0; i--) {
    const [at, to] = [random.nextInt(text.length + 1), random.nextInt(text.length + 1)]
    const kind = random.nextInt(5)
    const other = others[random.nextInt(others.length)]!
    const pieces = random.nextInt(3) === 0 ? MORE_PIECES : PIECES
    if (kind === 0) text = text.slice(0, at) + text.slice(at + 1 + random.nextInt(3))
    else if (kind <= 2) text = text.slice(0, at) + pieces[random.nextInt(pieces.length)]! + text.slice(at)
    else if (kind === 3) text = text.slice(0, at) + other.slice(random.nextInt(other.length)) + text.slice(at)
    else text = text.slice(0, at) + text.slice(Math.min(at, to), Math.max(at, to)).repeat(random.nextInt(3)) + text.slice(at)
  }
  return text.slice(0, 600)
}

/** Null: refused. */
function resultOf<T>(build: () => T): T | null {
  try {
    return build()
  } catch (error) {
    if (!(error instanceof InferdError)) throw error
    expect(error.code).toBe('invalid_parameter')
    return null
  }
}

test('12,000 mutated patterns become automata or are refused, within the budget', () => {
  const random = new SeededRandom(21)
  let numBuilt = 0
  for (let round = 0; round < 12_000; round++) {
    const pattern = mutate(random, PATTERNS[round % PATTERNS.length]!, PATTERNS)
    const budget = new CharBudget(LIMITS)
    const build = round % 2 === 0 ? regexMatchingWhole : regexFoundIn
    const automaton = resultOf(() => build(pattern, LIMITS, budget))
    expect(budget.stepsLeft).toBeGreaterThan(-MAX_OVERDRAFT)
    if (automaton === null) continue
    numBuilt++
    const text = shortestText(automaton)
    expect([pattern, text === null || matchesText(automaton, text)]).toEqual([pattern, true])
    expect([pattern, automaton.edges.length <= LIMITS.maxCharStates]).toEqual([pattern, true])
    if (build === regexFoundIn && text !== null && !pattern.includes('$')) expect([pattern, isFinite(automaton)]).toEqual([pattern, false])
  }
  expect(numBuilt).toBeGreaterThan(1500)
})

test('8,000 mutated grammars are parsed or refused', () => {
  const random = new SeededRandom(22)
  let numParsed = 0
  for (let round = 0; round < 8_000; round++) {
    const source = mutate(random, GRAMMARS[round % GRAMMARS.length]!, GRAMMARS)
    const grammar = resultOf(() => parseGbnf(source, LIMITS, (reference) => (reference === 12 ? 12 : null)))
    if (grammar === null) continue
    numParsed++
    expect(grammar.rules[grammar.root]!.name).toBe('root')
    expect(grammar.rules.length).toBeLessThanOrEqual(LIMITS.maxRules)
  }
  expect(numParsed).toBeGreaterThan(200)
})
