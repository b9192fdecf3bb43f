/** Time on chosen inputs, by counted work: characters read by the cutters, heap and scan operations of the merger. */
import { describe, expect, test, vi } from 'vitest'
import { InferdError } from '#contract/errors'
import { byteCharacter } from './byte-alphabet.ts'
import { BYTE_LEVEL_WORDS, preTokenizerForGgufName } from './known-patterns.ts'
import { MergeTable } from './merge-table.ts'
import { Merger } from './merger.ts'
import { unicodeForm } from './normalizers.ts'
import { IdList, PieceList } from './piece-list.ts'
import { BERT_WORDS, SPLIT_AT_SPACE_SIGN_RUN } from './pre-tokenizers.ts'
import { MAX_CACHED_WORD_LENGTH, WordCache } from './word-cache.ts'
import { loadTokenizerFromFolder } from './load-tokenizer.ts'
import { tokenizerFromJson } from './tokenizer-json.ts'
import type { PreTokenizer } from './word-scanner.ts'

const LENGTH = 100_000
const MAX_READS_PER_CHARACTER = 8

const TEXTS: Readonly<Record<string, string>> = {
  spaces: ' '.repeat(LENGTH),
  'one letter': 'a'.repeat(LENGTH),
  newlines: '\n'.repeat(LENGTH),
  'spaces and newlines': ' \n'.repeat(LENGTH / 2),
  'spaces before each newline': `${' '.repeat(99)}\n`.repeat(LENGTH / 100),
  'spaces, newline, spaces': `${' '.repeat(LENGTH / 2)}\n${' '.repeat(LENGTH / 2)}`,
  'combining marks': '\u0301'.repeat(LENGTH),
  apostrophes: "'".repeat(LENGTH),
  'half contractions': "'l".repeat(LENGTH / 2),
  digits: '7'.repeat(LENGTH),
  emoji: '😀'.repeat(LENGTH / 2),
  'space signs': '\u2581'.repeat(LENGTH),
  'capitals and caseless letters': 'A\u4e2d'.repeat(LENGTH / 2),
  'capitals after one caseless letter': `\u4e2d${'A'.repeat(LENGTH - 1)}`,
  'signs, slashes and newlines': '!/\n'.repeat(LENGTH / 4),
  'space and letter in turn': ' a'.repeat(LENGTH / 2),
}

const CUTTERS: Readonly<Record<string, PreTokenizer>> = {
  gpt2: BYTE_LEVEL_WORDS,
  llama3: preTokenizerForGgufName('llama-bpe').cutter,
  qwen2: preTokenizerForGgufName('qwen2').cutter,
  tekken: preTokenizerForGgufName('tekken').cutter,
  o200k: preTokenizerForGgufName('gpt-4o').cutter,
  smollm: preTokenizerForGgufName('smollm').cutter,
  bert: BERT_WORDS,
  sentencepiece: SPLIT_AT_SPACE_SIGN_RUN,
}

/** Behaves like the text for a cutter, and counts its reads. */
class CountedText {
  numReads = 0
  readonly length: number
  private readonly text: string

  constructor(text: string) {
    this.text = text
    this.length = text.length
  }

  charCodeAt(index: number): number {
    this.numReads += 1
    return this.text.charCodeAt(index)
  }
}

describe('cutters read each character a bounded number of times', () => {
  for (const [cutterName, cutter] of Object.entries(CUTTERS)) {
    for (const [textName, text] of Object.entries(TEXTS)) {
      test(`${cutterName} on ${textName}`, () => {
        const counted = new CountedText(text)
        const pieces = new PieceList()
        cutter.split(counted as unknown as string, 0, text.length, pieces)
        expect(counted.numReads).toBeLessThanOrEqual(text.length * MAX_READS_PER_CHARACTER)
        expect(pieces.count).toBeLessThanOrEqual(text.length)
      })
    }
  }
})

/** Tokens a, aa, aaaa, ... : each merge makes the next. */
function doublingTable(numLevels: number): MergeTable {
  const table = new MergeTable(numLevels)
  for (let level = 0; level < numLevels; level += 1) table.add({ left: level, right: level, rank: level, merged: level + 1 })
  return table
}

describe('Merger', () => {
  test('a million equal symbols cost n log n, and doubling the text about doubles the work', () => {
    const workOf = (length: number) => {
      const merger = new Merger(doublingTable(20))
      merger.reserve(length)
      merger.symbols.fill(0, 0, length)
      merger.merge(length)
      return merger.work
    }
    const half = workOf(500_000)
    const whole = workOf(1_000_000)
    expect(whole).toBeLessThan(1_000_000 * 3 * 21)
    expect(whole / half).toBeLessThan(2.3)
  })

  test('the heap and the scan merge alike', () => {
    const table = new MergeTable(64)
    for (let rank = 0; rank < 48; rank += 1) table.add({ left: (rank * 7) % 13, right: (rank * 5) % 11, rank, merged: (rank * 3) % 17 })
    for (let seed = 1; seed < 400; seed += 1) {
      const symbols = Array.from({ length: 24 }, (_, index) => Math.imul(seed, index * index + 7) >>> 28)
      const scanned = mergeWith(table, symbols)
      // One symbol that merges with nothing makes the word too long for the scan.
      const heaped = mergeWith(table, [...symbols, 99])
      expect(heaped).toEqual([...scanned, 99])
    }
  })
})

function mergeWith(table: MergeTable, symbols: readonly number[]): number[] {
  const merger = new Merger(table)
  merger.reserve(symbols.length)
  merger.symbols.set(symbols)
  const count = merger.merge(symbols.length)
  return Array.from(merger.symbols.subarray(0, count))
}

describe('the rest of the pipeline', () => {
  test('marks without end are normalized in parts, and text of ordinary runs as the standard says', () => {
    const nfc = unicodeForm('NFC')
    expect(nfc('e\u0301a\u0323\u0302', true)).toBe('e\u0301a\u0323\u0302'.normalize('NFC'))
    expect(nfc(`a${'\u0301\u0323'.repeat(50_000)}`, true).length).toBeLessThanOrEqual(100_001)
  })

  test('the word cache stays within its storage and right when it overflows', () => {
    const cache = new WordCache()
    for (let index = 0; index < 200_000; index += 1) {
      const text = `${index}`.padEnd(1 + (index % MAX_CACHED_WORD_LENGTH), 'x').slice(0, MAX_CACHED_WORD_LENGTH)
      const out = new IdList()
      if (cache.lookUp(text, 0, text.length, out)) {
        expect(out.toArray()).toEqual(Array.from(text, (character) => character.charCodeAt(0)))
        continue
      }
      for (const character of text) out.push(character.charCodeAt(0))
      cache.store({ text, start: 0, end: text.length }, out, 0)
    }
  })

  describe('encoding stops soon after the limit', () => {
    const vocab = Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [byteCharacter(byte), byte]))
    const byteBpe = { type: 'BPE', vocab: { ...vocab, aa: 256 }, merges: ['a a'] }
    const pieces = Object.fromEntries(['<unk>', 'a', 'aa', '\u2581', 'x', 'b'].map((text, id) => [text, id]))
    const unigram = { type: 'Unigram', unk_id: 0, vocab: Object.entries(pieces).map(([text, id]) => [text, -id]) }
    const cases: readonly (readonly [string, Record<string, unknown>])[] = [
      ['bytes', { pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false }, model: byteBpe }],
      ['pieces', { pre_tokenizer: { type: 'Metaspace' }, model: { type: 'BPE', unk_token: '<unk>', vocab: pieces, merges: ['a a'] } }],
      ['Unigram', { pre_tokenizer: { type: 'Metaspace' }, model: unigram }],
      ['words', { pre_tokenizer: { type: 'BertPreTokenizer' }, model: { type: 'WordPiece', unk_token: '<unk>', vocab: pieces } }],
    ]
    for (const [name, tokenizerJson] of cases) {
      const tokenizer = tokenizerFromJson({ tokenizerJson, tokenizerConfig: null })
      const plain = { parseSpecial: false, addSpecial: false }

      test(`${name}: many words`, () => {
        const encodeWord = vi.spyOn(tokenizer.encoder, 'encodeWord')
        const text = 'ab x'.repeat(100_000)
        expect(() => tokenizer.encode(text, { ...plain, maxTokens: 100 })).toThrow('the context holds 100 tokens; the prompt has more')
        expect(encodeWord.mock.calls.length).toBeLessThanOrEqual(101)
        encodeWord.mockRestore()
      })

      test(`${name}: the limit itself is served, and short texts are counted to their end`, () => {
        const text = 'ab x '.repeat(20_000)
        const ids = tokenizer.encode(text, plain)
        expect(tokenizer.encode(text, { ...plain, maxTokens: ids.length })).toEqual(ids)
        expect(() => tokenizer.encode(text, { ...plain, maxTokens: ids.length - 1 })).toThrow(InferdError)
        expect(tokenizer.encode('ab x', { ...plain, maxTokens: 1 })).toEqual(tokenizer.encode('ab x', plain))
      })
    }

    test('one endless word is refused before it is looked at', () => {
      const tokenizer = tokenizerFromJson({ tokenizerJson: cases[0]![1], tokenizerConfig: null })
      const encodeWord = vi.spyOn(tokenizer.encoder, 'encodeWord')
      expect(() => tokenizer.encode('a'.repeat(1_000_000), { parseSpecial: false, addSpecial: false, maxTokens: 8192 })).toThrow('8192')
      expect(encodeWord).not.toHaveBeenCalled()
    })
  })

  test('begun special tokens by the thousand and a million letters encode whole', () => {
    const vocab = Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [byteCharacter(byte), byte]))
    const tokenizer = loadTokenizerFromFolder({
      tokenizerJson: {
        added_tokens: [{ id: 258, content: '<|im_start|>', special: true }],
        pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
        model: { type: 'BPE', vocab: { ...vocab, aa: 256, aaaa: 257 }, merges: ['a a', 'aa aa'] },
      },
      tokenizerConfig: null,
    })
    const plain = { parseSpecial: true, addSpecial: false }
    expect(tokenizer.encode('<|im_star'.repeat(50_000), plain).length).toBe(450_000)
    expect(tokenizer.encode('a'.repeat(1_000_000), plain).length).toBe(250_000)
    expect(tokenizer.encode('\ud800a\udfff', plain)).toEqual(tokenizer.encode('\ufffda\ufffd', plain))
  })
})
