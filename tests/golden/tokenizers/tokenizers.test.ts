/** Our ids against those of the reference implementations, which make_fixtures.py recorded. */
import { describe, expect, test } from 'vitest'
import type { GgufValue } from '#engine/models/architecture'
import { loadTokenizerFromFolder, loadTokenizerFromGguf } from '#engine/tokenizers/load-tokenizer'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import { loadGgufFixture, loadJsonFixture, readCorpus, readFixture } from './fixtures.ts'

const JSON_FIXTURES = ['bpe-llama3', 'bpe-qwen2', 'bpe-smollm', 'piece-llama2', 'piece-gemma', 'unigram', 'unigram-bytes', 'wordpiece']
/** The tokenizers package makes the byte of this text; SentencePiece, which made the format, and we leave it text. */
const NAMES_BYTE = /<0x[0-9A-F]{2}>/
const GGUF_FIXTURES = [
  ['spm-bpe', 'llama'],
  ['spm-unigram', 't5'],
] as const

describe('tokenizer.json', () => {
  for (const name of JSON_FIXTURES) {
    test(`${name} gives the ids of the tokenizers package on every text, special tokens parsed`, () => {
      const tokenizer = loadJsonFixture(name)
      const corpus = readCorpus()
      const texts = [...corpus.plain, ...corpus.special]
      const expected = readFixture<number[][]>(`${name}.ids.json`)
      expect(expected.length).toBe(texts.length)
      texts.forEach((text, index) => {
        const ids = tokenizer.encode(text, { parseSpecial: true, addSpecial: false })
        if (name === 'unigram-bytes' && NAMES_BYTE.test(text)) expect(ids).not.toContain(tokenizer.tokenId(NAMES_BYTE.exec(text)![0]))
        else expect({ text, ids }).toEqual({ text, ids: expected[index] })
      })
    })
  }
})

describe('what a user writes', () => {
  for (const { name, tokenizer } of allFixtures()) {
    test(`${name} never makes control tokens or bytes of text that names them`, () => {
      const user = { parseSpecial: false, addSpecial: false }
      const unknown = tokenizer.encode('\u{f0000}', user)
      const ids = Array.from({ length: tokenizer.vocabSize }, (_, id) => id)
      for (const id of ids.filter((each) => ['control', 'byte'].includes(tokenizer.tokenKind(each)) && !unknown.includes(each))) {
        const literal = tokenizer.tokenText(id)
        for (const text of [literal, `x${literal}`, ` ${literal} `, literal + literal, `x ${literal}x`]) {
          const made = tokenizer.encode(text, user)
          if (tokenizer.tokenKind(id) === 'control') expect({ text, made: made.includes(id) }).toEqual({ text, made: false })
          // A sign of the literal may itself be a byte; the literal is then spelled out all the same.
          else expect(decode(tokenizer, made)).toContain(literal)
        }
      }
    })
  }
})

function decode(tokenizer: Tokenizer, ids: readonly number[]): string {
  return Buffer.concat(ids.map((id) => tokenizer.tokenBytes(id))).toString()
}

function allFixtures() {
  const json = JSON_FIXTURES.map((name) => ({ name, tokenizer: loadJsonFixture(name) }))
  const wholeWords = JSON_FIXTURES.filter((name) => name.startsWith('bpe')).map((name) => ({
    name: `${name} with ignore_merges and without words`,
    tokenizer: loadTokenizerFromFolder({ tokenizerJson: withWholeWords(readFixture<WholeWordFixture>(`${name}.json`)), tokenizerConfig: null }),
  }))
  return [...json, ...wholeWords, ...GGUF_FIXTURES.map(([name, model]) => ({ name: `${name} (GGUF)`, tokenizer: loadGgufFixture(name, model) }))]
}

interface WholeWordFixture {
  readonly added_tokens: readonly { readonly id: number; readonly content: string }[]
  readonly model: { readonly vocab: Readonly<Record<string, number>> }
}

/** Words are looked up whole, the text is one word, and the vocabulary holds the added tokens too. */
function withWholeWords(fixture: WholeWordFixture): object {
  const added = Object.fromEntries(fixture.added_tokens.map(({ id, content }) => [content, id]))
  const model = { ...fixture.model, vocab: { ...fixture.model.vocab, ...added }, ignore_merges: true }
  return { ...fixture, model, pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: false } }
}

describe('GGUF metadata', () => {
  for (const [name, model] of GGUF_FIXTURES) {
    test(`${name} gives the ids of sentencepiece on every text`, () => {
      const tokenizer = loadGgufFixture(name, model)
      const texts = readCorpus().plain.filter((text) => !text.includes('\0'))
      const expected = readFixture<number[][]>(`${name}.ids.json`)
      expect(expected.length).toBe(texts.length)
      texts.forEach((text, index) => {
        const ids = tokenizer.encode(text, { parseSpecial: false, addSpecial: false })
        expect({ text, ids }).toEqual({ text, ids: expected[index] })
      })
    })
  }
})

interface JsonFixture {
  readonly added_tokens: readonly { readonly id: number; readonly content: string; readonly special: boolean }[]
  readonly model: { readonly vocab: Readonly<Record<string, number>>; readonly merges?: readonly (readonly [string, string])[] }
}

const TYPE_NORMAL = 1
const TYPE_CONTROL = 3
const TYPE_USER_DEFINED = 4

/** The same tokenizer in the form in which converters write it to GGUF. */
function ggufFromJson(
  name: string,
  extra: Readonly<Record<string, GgufValue>>,
  spell: (text: string) => string = (text) => text,
): Map<string, GgufValue> {
  const { added_tokens: added, model } = readFixture<JsonFixture>(`${name}.json`)
  const tokens: string[] = []
  for (const [text, id] of Object.entries(model.vocab)) tokens[id] = spell(text)
  for (const token of added) tokens[token.id] = token.content
  const types = new Int32Array(tokens.length).fill(TYPE_NORMAL)
  for (const token of added) types[token.id] = token.special ? TYPE_CONTROL : TYPE_USER_DEFINED
  const values: Record<string, GgufValue> = { tokens, token_type: types, merges: (model.merges ?? []).map((merge) => merge.join(' ')), ...extra }
  return new Map(Object.entries(values).map(([key, value]) => [`tokenizer.ggml.${key}`, value]))
}

describe('the same tokenizer from both kinds of file', () => {
  const cases: readonly (readonly [string, Readonly<Record<string, GgufValue>>, ((text: string) => string)?])[] = [
    ['bpe-llama3', { model: 'gpt2', pre: 'llama-bpe' }],
    ['bpe-smollm', { model: 'gpt2', pre: 'smollm' }],
    ['wordpiece', { model: 'bert', unknown_token_id: 1 }, (text) => (text.startsWith('##') ? text.slice(2) : `\u2581${text}`)],
  ]
  for (const [name, extra, spell] of cases) {
    test(`${name} gives the same ids from GGUF as from tokenizer.json`, () => {
      const fromGguf = loadTokenizerFromGguf(ggufFromJson(name, extra, spell))
      const fromJson = loadJsonFixture(name)
      const corpus = readCorpus()
      for (const text of [...corpus.plain, ...corpus.special]) {
        const options = { parseSpecial: true, addSpecial: false }
        const ids = fromGguf.encode(text, options)
        expect({ text, ids }).toEqual({ text, ids: fromJson.encode(text, options) })
      }
    })
  }
})
