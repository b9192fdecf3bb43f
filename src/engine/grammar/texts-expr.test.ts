import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { regexMatchingWhole } from '#engine/grammar/regex/compile-regex'
import type { Automaton } from './automaton.ts'
import { CharBudget } from './char-algebra-budget.ts'
import { matchesText } from './char-algebra-inspect.ts'
import type { CharAutomaton } from './char-automaton.ts'
import { compileAutomaton } from './compile-automaton.ts'
import { GrammarBuilder } from './grammar-builder.ts'
import { DEFAULT_GRAMMAR_LIMITS } from './grammar-limits.ts'
import { createReferenceVocabulary } from './reference-matcher.ts'
import { textsExpr } from './texts-expr.ts'

const BYTES = createReferenceVocabulary(Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)))

const textsOf = (pattern: string): CharAutomaton => regexMatchingWhole(pattern, DEFAULT_GRAMMAR_LIMITS, new CharBudget(DEFAULT_GRAMMAR_LIMITS))

function compiled(texts: CharAutomaton): Automaton {
  const builder = new GrammarBuilder()
  const root = builder.declare('root')
  builder.define(
    root,
    textsExpr(texts, (same) => same),
  )
  return compileAutomaton(builder.build(root), DEFAULT_GRAMMAR_LIMITS)
}

/** Runs of a, é and b around the counts of the patterns. */
function randomText(random: SeededRandom): string {
  const part = (): string => ['a', 'é', 'b', '-', 'aé', '1'][random.nextInt(6)]!.repeat(random.nextInt(24))
  return Array.from({ length: 1 + random.nextInt(3) }, part).join('')
}

test.each([
  'a{20}',
  'a{0,20}',
  '[aé]{3,20}',
  'b?[aé]{1,18}-[aé]{16,17}',
  '(?:[aé]{2,17}-)*b',
  'b+(?:[aé]{0,20}|1a{17,19}b)',
  'a{16,}b',
  '(?:a{18}|é{16}b)-?',
  'a{1,20}[aé]{0,20}',
  '[ab]{0,18}b1?',
  '(?:aé){16,20}',
  '-?a{17}(?:b|é{0,16})',
])('counted runs are the same language: %s', (pattern) => {
  const texts = textsOf(pattern)
  const grammar = BYTES.load(compiled(texts))
  const random = new SeededRandom(5)
  for (let round = 0; round < 400; round++) {
    const text = round < 24 ? 'a'.repeat(round) : round < 48 ? `${'é'.repeat(round - 24)}-` : randomText(random)
    const matcher = grammar.createMatcher()
    const isTaken = [...Buffer.from(text)].every((byte) => matcher.accept(byte)) && matcher.canEnd
    expect([text, isTaken]).toEqual([text, matchesText(texts, text)])
  }
})

test.each([
  ['\\p{L}{1,500}', 400],
  ['.{1,5000}', 40],
  ['[a-z]{3,400}-\\d{2,300}', 20],
  ['id:\\w{1,1000}', 20],
])('%s is counted and not written out', (pattern, maxStates) => {
  expect(compiled(textsOf(pattern)).numStates).toBeLessThan(maxStates)
})
