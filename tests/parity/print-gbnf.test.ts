/** Printed grammars are read again by our own parser and by xgrammar, and mean the same texts. */
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { compileAutomaton } from '#engine/grammar/compile-automaton'
import { parseGbnf } from '#engine/grammar/gbnf/parse-gbnf'
import type { Grammar } from '#engine/grammar/grammar'
import { DEFAULT_GRAMMAR_LIMITS as LIMITS } from '#engine/grammar/grammar-limits'
import { createReferenceVocabulary } from '#engine/grammar/reference-matcher'
import { judge } from './grammar-oracle.ts'
import { printGbnf } from './print-gbnf.ts'
import { randomGrammar, randomSymbols } from './random-grammar.ts'
import { xgrammarAccepts } from './xgrammar-oracle.ts'

const BYTE_VOCABULARY = createReferenceVocabulary(Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)))

/** Null: refused as too large or too ambiguous. */
function matcherAccepts(grammar: Grammar, text: string): boolean | null {
  try {
    const matcher = BYTE_VOCABULARY.load(compileAutomaton(grammar, LIMITS)).createMatcher()
    return [...new TextEncoder().encode(text)].every((byte) => matcher.accept(byte)) && matcher.canEnd
  } catch (error) {
    if (!(error instanceof InferdError)) throw error
    return error.message.includes('matches no text') ? false : null
  }
}

interface Sample {
  readonly grammar: Grammar
  readonly gbnf: string
  readonly texts: readonly string[]
}

function samples(seed: number, count: number): Sample[] {
  return Array.from({ length: count }, (_, i) => {
    const random = new SeededRandom(seed * 1_000_003 + i)
    const grammar = randomGrammar(random, { tokenIds: [], maxCount: 5 })
    const texts = Array.from({ length: 6 }, () => String.fromCodePoint(...randomSymbols(random, grammar, [], 10)))
    return { grammar, gbnf: printGbnf(grammar), texts }
  })
}

test('a printed grammar that is parsed again accepts the same texts', () => {
  let numAccepted = 0
  for (const { grammar, gbnf, texts } of samples(1, 150)) {
    const parsed = parseGbnf(gbnf, LIMITS)
    for (const text of texts) {
      const symbols = Array.from(text, (char) => char.codePointAt(0)!)
      const expected = judge(grammar, symbols).isWhole
      expect([gbnf, text, judge(parsed, symbols).isWhole]).toEqual([gbnf, text, expected])
      expect([gbnf, text, matcherAccepts(parsed, text) ?? expected]).toEqual([gbnf, text, expected])
      if (expected) numAccepted++
    }
  }
  expect(numAccepted).toBeGreaterThan(150)
})

test('xgrammar reads what is printed and accepts the same texts', async () => {
  let numAccepted = 0
  for (const { grammar, gbnf, texts } of samples(2, 200)) {
    const answers = await xgrammarAccepts(gbnf, texts)
    texts.forEach((text, i) => {
      const symbols = Array.from(text, (char) => char.codePointAt(0)!)
      const expected = judge(grammar, symbols).isWhole
      expect([gbnf, text, answers[i]]).toEqual([gbnf, text, expected])
      if (expected) numAccepted++
    })
  }
  expect(numAccepted).toBeGreaterThan(100)
})
