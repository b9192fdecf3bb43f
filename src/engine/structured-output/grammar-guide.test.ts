import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import type { OutputFormat } from '#contract/generate'
import { createNativeVocabulary } from '#engine/kernels/native/native-vocabulary'
import { loadTokenizerFromFolder } from '#engine/tokenizers/load-tokenizer'
import { compileOutput } from './compile-output.ts'
import { GrammarGuide } from './grammar-guide.ts'

const FOLDER = path.resolve(import.meta.dirname, '../../../models/inferd-chat')
const json = (name: string): Record<string, unknown> => JSON.parse(readFileSync(path.join(FOLDER, name), 'utf8')) as Record<string, unknown>
const tokenizer = loadTokenizerFromFolder({
  tokenizerJson: json('tokenizer.json'),
  tokenizerConfig: json('tokenizer_config.json'),
  extraEosTokenIds: [],
})
const vocabulary = createNativeVocabulary(
  Array.from({ length: tokenizer.vocabSize }, (_, id) => (tokenizer.eosTokenIds.includes(id) ? new Uint8Array() : tokenizer.tokenBytes(id))),
)

const encode = (text: string): number[] => tokenizer.encode(text, { parseSpecial: false, addSpecial: false })
const textOf = (tokenIds: readonly number[]): string => Buffer.concat(tokenIds.map((id) => tokenizer.tokenBytes(id))).toString()

function guideOf(format: OutputFormat): GrammarGuide {
  return new GrammarGuide(vocabulary.load(compileOutput({ format, tools: null, reasoning: null })).createMatcher(), tokenizer)
}

function allowed(guide: GrammarGuide): Set<number> {
  const words = new Uint32Array(Math.ceil(tokenizer.vocabSize / 32))
  guide.fillMask(words)
  return new Set(Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter((id) => ((words[id >> 5]! >>> (id & 31)) & 1) === 1))
}

/** Accepts the text's tokens and returns what is forced then, accepted as well. */
function forcedAfter(guide: GrammarGuide, text: string, maxTokens = 64): string {
  for (const tokenId of encode(text)) guide.accept(tokenId)
  const forced = guide.forcedTokens(maxTokens)
  for (const tokenId of forced) guide.accept(tokenId)
  return textOf(forced)
}

const PERSON: OutputFormat = {
  kind: 'json-schema',
  schema: {
    type: 'object',
    properties: { firstName: { type: 'string' }, age: { type: 'integer', minimum: 0, maximum: 99 } },
    required: ['firstName', 'age'],
    additionalProperties: false,
  },
  whitespace: 'none',
}

test('keys and punctuation are forced, strings and numbers are not', () => {
  const guide = guideOf(PERSON)
  const head = forcedAfter(guide, '')
  expect('{"firstName":"'.startsWith(head) && head.length > '{"firstName'.length).toBe(true)
  expect(forcedAfter(guide, `${'{"firstName":"'.slice(head.length)}Ada`)).toBe('')
  const middle = forcedAfter(guide, '"')
  expect(',"age":'.startsWith(middle) && middle.length > 3).toBe(true)
  expect(forcedAfter(guide, `${',"age":'.slice(middle.length)}4`)).toBe('')
  expect(guide.isComplete).toBe(false)
  expect(forcedAfter(guide, '7')).toBe('}')
  expect(guide.isComplete).toBe(true)
})

test('a forced text is spelled as the tokenizer spells it', () => {
  const guide = guideOf({ kind: 'choice', choices: ['The capital of France is Paris.', 'The capital of France is Rome.'] })
  const forced = guide.forcedTokens(64)
  expect(encode('The capital of France is').slice(0, forced.length)).toEqual(forced)
  expect(forced.length).toBeGreaterThan(3)
})

test('the last token of a forced text is left to the model when a longer one may stand there', () => {
  const withSpace = encode(' Paris')
  const guide = guideOf({ kind: 'regex', pattern: 'is ?[A-Z][a-z]+' })
  expect(forcedAfter(guide, '')).toBe('is')
  expect(allowed(guide).has(withSpace[0]!)).toBe(true)
  const joined = guideOf({ kind: 'regex', pattern: 'is [A-Z][a-z]+' })
  expect(forcedAfter(joined, '')).toBe('is')
})

test('no more tokens are forced than there is room for, and the rest comes later', () => {
  const guide = guideOf({ kind: 'choice', choices: ['one two three four five'] })
  const first = forcedAfter(guide, '', 2)
  expect(encode(first)).toHaveLength(2)
  expect(guide.isComplete).toBe(false)
  expect(first + forcedAfter(guide, '')).toBe('one two three four five')
  expect(guide.isComplete).toBe(true)
})

test('tokens that end the choice are allowed exactly where the text may end', () => {
  const guide = guideOf({ kind: 'regex', pattern: 'a(bc)*' })
  const ends = (): boolean[] => tokenizer.eosTokenIds.map((id) => allowed(guide).has(id))
  expect(new Set(ends())).toEqual(new Set([false]))
  for (const tokenId of encode('a')) guide.accept(tokenId)
  expect(new Set(ends())).toEqual(new Set([true]))
  expect(guide.isComplete).toBe(false)
})

test('the text of a token that ends the choice is text inside of a string, never the token', () => {
  const guide = guideOf({ kind: 'json-schema', schema: { const: '<|im_end|>' }, whitespace: 'none' })
  const forced = guide.forcedTokens(64)
  expect(textOf(forced)).toBe('"<|im_end|>"')
  expect(forced.some((id) => tokenizer.eosTokenIds.includes(id))).toBe(false)
})

test('inside of a code point nothing is forced, and behind it again', () => {
  const guide = guideOf({ kind: 'choice', choices: ['東京 is', '京都 is'] })
  expect(guide.forcedTokens(64)).toEqual([])
  const [first, ...rest] = encode('東')
  expect(rest).toHaveLength(2)
  guide.accept(first!)
  expect(guide.forcedTokens(64)).toEqual([])
  for (const tokenId of rest) guide.accept(tokenId)
  expect('京 is'.startsWith(textOf(guide.forcedTokens(64)).slice(0, 1))).toBe(true)
})

test('whole code points are forced, never a part of one', () => {
  const guide = guideOf({ kind: 'choice', choices: ['größer 日本', 'größer 日曜'] })
  expect('größer 日'.startsWith(forcedAfter(guide, ''))).toBe(true)
})

test('a grammar that turns out too ambiguous for its text is the fault of who sent it, other failures are ours', () => {
  const fakeMatcher = {
    accept: () => true,
    canEnd: false,
    isComplete: false,
    forcedBytes: () => new Uint8Array(),
    forcedTokenId: () => null,
    hasLongerToken: () => false,
  }
  const failing = (error: Error): GrammarGuide => {
    const fillMask = (): never => {
      throw error
    }
    return new GrammarGuide({ ...fakeMatcher, fillMask }, tokenizer)
  }
  const ambiguous = Object.assign(new Error('many'), { code: 'GRAMMAR_TOO_AMBIGUOUS' })
  expect(() => failing(ambiguous).fillMask(new Uint32Array(64))).toThrow(
    expect.objectContaining({ code: 'invalid_parameter', param: 'output.format' }),
  )
  expect(() => failing(new Error('broken')).fillMask(new Uint32Array(64))).toThrow('broken')
})

test.each(['piece-llama2', 'piece-gemma', 'bpe-llama3', 'bpe-qwen2', 'bpe-smollm'])(
  'text is forced with the tokens of %s, also where it puts a space before a word',
  (name) => {
    const file = path.resolve(import.meta.dirname, `../../../tests/fixtures/tokenizers/${name}.json`)
    const other = loadTokenizerFromFolder({ tokenizerJson: JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>, tokenizerConfig: null })
    const words = createNativeVocabulary(Array.from({ length: other.vocabSize }, (_, id) => other.tokenBytes(id)))
    const format: OutputFormat = { kind: 'choice', choices: ['the first of them', 'the first of all'] }
    const guide = new GrammarGuide(words.load(compileOutput({ format, tools: null, reasoning: null })).createMatcher(), other)
    const forced = Buffer.concat(guide.forcedTokens(64).map((id) => other.tokenBytes(id))).toString()
    expect('the first of '.startsWith(forced) && forced.length >= 'the first'.length, forced).toBe(true)
  },
)
