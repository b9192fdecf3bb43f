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
import { loadXGrammar, xgrammarAccepts } from './xgrammar-oracle.ts'

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

/** A hint of xgrammar's own that adds nothing to its grammar of JSON; ours refuses look-ahead by name. */
const LOOK_AHEAD = ' (= [ \\n\\t]* [,}\\]:])'

test('what xgrammar prints, its grammars of JSON schemas included, is read as xgrammar means it', async () => {
  const { Grammar, Testings } = loadXGrammar()
  const schema = {
    type: 'object',
    properties: {
      name: { type: 'string', maxLength: 3 },
      age: { type: 'integer' },
      tags: { type: 'array', items: { enum: ['é', 2, null] }, minItems: 1 },
    },
    required: ['name'],
  }
  const jsonTexts = [
    '{"name": "Bo"}',
    '{"name": "Bo", "age": 3, "tags": ["\u00e9", 2, null]}',
    '{"name": "Bob!"}',
    '{"age": 3}',
    '{"name": "\\n", "tags": []}',
  ]
  const schemaText = JSON.stringify(schema)
  const cases = [
    { printed: await Testings._jsonSchemaToEBNF(schemaText), texts: jsonTexts },
    { printed: await Testings._jsonSchemaToEBNF(schemaText, false, -1), texts: jsonTexts },
  ].map(({ printed, texts }) => ({ asked: printed, printed, texts }))
  // It prints \x with two digits, as we read it, though it would itself read more.
  for (const { gbnf, texts } of samples(3, 60)) cases.push({ asked: gbnf, printed: (await Grammar.fromEBNF(gbnf)).toString(), texts: [...texts] })
  let numAccepted = 0
  for (const { asked, printed, texts } of cases) {
    const answers = await xgrammarAccepts(asked, texts)
    const parsed = parseGbnf(printed.replaceAll(LOOK_AHEAD, ''), LIMITS)
    texts.forEach((text, i) => expect([printed, text, matcherAccepts(parsed, text) ?? answers[i]]).toEqual([printed, text, answers[i]]))
    numAccepted += answers.filter(Boolean).length
  }
  expect(numAccepted).toBeGreaterThan(60)
})
