/** Token masks of JSON schemas, step by step, against those of xgrammar over the same grammar and vocabulary. */
import type * as XGrammarLibrary from '@mlc-ai/web-xgrammar'
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import type { JsonValue } from '#contract/generate'
import { compileAutomaton } from '#engine/grammar/compile-automaton'
import { GrammarBuilder } from '#engine/grammar/grammar-builder'
import { DEFAULT_GRAMMAR_LIMITS as LIMITS } from '#engine/grammar/grammar-limits'
import { lowerJsonSchema } from '#engine/grammar/json-schema/lower-json-schema'
import { createNativeVocabulary } from '#engine/kernels/native/native-vocabulary'
import { printGbnf } from './print-gbnf.ts'
import { loadXGrammar } from './xgrammar-oracle.ts'

const WALKS = 4
const MAX_STEPS = 60

/** No free strings: xgrammar 0.1.27 reads the printed class of their characters so that it has the quote. Masks of strings are held against the reference matcher. */
const SCHEMAS: readonly (readonly [name: string, schema: JsonValue])[] = [
  [
    'a flat object',
    {
      type: 'object',
      properties: { name: { type: 'string', pattern: '^[A-Za-z ]{1,12}$' }, age: { type: 'integer', minimum: 0, maximum: 130 } },
      required: ['name', 'age'],
    },
  ],
  ['optional members', { type: 'object', properties: { a: { type: 'boolean' }, b: { type: 'null' }, c: { enum: ['x', 'yy', 7] } } }],
  ['an array of enums', { type: 'array', items: { enum: ['red', 'green', 'reddish'] }, minItems: 1, maxItems: 4 }],
  ['a union', { anyOf: [{ type: 'string', pattern: '^[a-c]{2,4}$' }, { type: 'number', minimum: 1, maximum: 2 }, { const: { deep: [1, 'b'] } }] }],
  [
    'a recursive tree',
    {
      $ref: '#/$defs/node',
      $defs: { node: { type: 'object', properties: { v: { type: 'integer' }, next: { $ref: '#/$defs/node' } }, required: ['v'] } },
    },
  ],
  ['a date', { type: 'string', format: 'date' }],
]

/** The end token, every ASCII character that is printed, and pieces that reach over borders of JSON. */
const TOKENS = [
  '</s>',
  ...Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index)),
  ...[
    '":',
    '",',
    '"}',
    '": "',
    '","',
    '"],',
    '{"',
    '[{"',
    '},',
    '[]',
    '":{"',
    '":[',
    'na',
    'name',
    'age',
    'red',
    'ish',
    'de',
    'next',
    'true',
    'null',
    '12',
    '2026',
    '-0',
    'yy"',
    'v"',
  ],
  ...['é', '日', 'ab', ' a', 'green"', '"red"', '","red', '}]', '}}'],
]

const bytes = TOKENS.map((token, index) => (index === 0 ? new Uint8Array() : new TextEncoder().encode(token)))
const vocabulary = createNativeVocabulary(bytes)

test.each(SCHEMAS)('%s: every mask on random walks is that of xgrammar', async (_, schema) => {
  const builder = new GrammarBuilder()
  const root = builder.declare('root')
  builder.define(root, lowerJsonSchema(builder, schema, { whitespace: 'none', limits: LIMITS, closedObjects: true, unenforced: 'refuse' }))
  const grammar = builder.build(root)
  const loaded = vocabulary.load(compileAutomaton(grammar, LIMITS))
  const { Grammar, GrammarCompiler, GrammarMatcher, TokenizerInfo } = loadXGrammar() as typeof XGrammarLibrary
  const tokenizer = await TokenizerInfo.createTokenizerInfo(TOKENS, 'raw', false, TOKENS.length, [0])
  const compiler = await GrammarCompiler.createGrammarCompiler(tokenizer)
  const compiled = await compiler.compileGrammar(await Grammar.fromEBNF(printGbnf(grammar)))
  for (let walk = 0; walk < WALKS; walk++) {
    const random = new SeededRandom(walk + 1)
    const ours = loaded.createMatcher()
    const theirs = await GrammarMatcher.createGrammarMatcher(compiled)
    for (let step = 0; step < MAX_STEPS; step++) {
      const words = new Uint32Array(Math.ceil(TOKENS.length / 32))
      ours.fillMask(words)
      if (ours.canEnd) words[0]! |= 1
      const mask = Uint32Array.from((await theirs.getNextTokenBitmask()).subarray(0, words.length))
      const allowed = (from: Uint32Array): string[] => TOKENS.filter((_token, id) => ((from[id >> 5]! >>> (id & 31)) & 1) === 1)
      expect([walk, step, allowed(words)]).toEqual([walk, step, allowed(mask)])
      const choices = TOKENS.map((_token, id) => id).filter((id) => id > 0 && ((words[id >> 5]! >>> (id & 31)) & 1) === 1)
      if (choices.length === 0) break
      const token = choices[random.nextInt(choices.length)]!
      expect([ours.accept(token), theirs.acceptToken(token)]).toEqual([true, true])
    }
    theirs.dispose()
  }
})
