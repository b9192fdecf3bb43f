/** Words as the regular expressions of the field cut them; expected values recorded from the tokenizers package 0.23 (Oniguruma). */
import { describe, expect, test } from 'vitest'
import { preTokenizerForGgufName, scannerForPattern } from './known-patterns.ts'
import { PieceList } from './piece-list.ts'

const CASES: readonly (readonly [string, string, readonly string[]])[] = [
  ['gpt-2', "Hello  world!\n\n  It's 12345 o'clock", ['Hello', ' ', ' world', '!', '\n\n ', ' It', "'s", ' 12345', ' o', "'", 'clock']],
  ['gpt-2', "IT'LL x'\u017f 'Re", ['IT', "'", 'LL', ' x', "'", '\u017f', " '", 'Re']],
  ['gpt-2', 'e\u0301a\u0301 \u0301b \u0928\u0940', ['e', '\u0301', 'a', '\u0301', ' \u0301', 'b', ' \u0928', '\u0940']],
  ['gpt-2', 'camelCase HTTPServer \u01c5x \u4e2dAb A\u4e2d', ['camelCase', ' HTTPServer', ' \u01c5x', ' \u4e2dAb', ' A\u4e2d']],
  ['gpt-2', 'a/b //\n\n/ !!\r\n \t x  ', ['a', '/', 'b', ' //', '\n', '\n', '/', ' !!', '\r\n \t', ' x', '  ']],
  ['llama-bpe', "Hello  world!\n\n  It's 12345 o'clock", ['Hello', ' ', ' world', '!\n\n', ' ', ' It', "'s", ' ', '123', '45', ' o', "'clock"]],
  ['llama-bpe', "IT'LL x'\u017f 'Re", ['IT', "'LL", ' x', "'\u017f", " '", 'Re']],
  ['llama-bpe', 'e\u0301a\u0301 \u0301b \u0928\u0940', ['e', '\u0301a', '\u0301', ' \u0301', 'b', ' \u0928', '\u0940']],
  ['llama-bpe', 'camelCase HTTPServer \u01c5x \u4e2dAb A\u4e2d', ['camelCase', ' HTTPServer', ' \u01c5x', ' \u4e2dAb', ' A\u4e2d']],
  ['llama-bpe', 'a/b //\n\n/ !!\r\n \t x  ', ['a', '/b', ' //\n\n', '/', ' !!\r\n', ' \t', ' x', '  ']],
  [
    'qwen2',
    "Hello  world!\n\n  It's 12345 o'clock",
    ['Hello', ' ', ' world', '!\n\n', ' ', ' It', "'s", ' ', '1', '2', '3', '4', '5', ' o', "'clock"],
  ],
  ['qwen2', "IT'LL x'\u017f 'Re", ['IT', "'LL", ' x', "'\u017f", " '", 'Re']],
  ['qwen2', 'e\u0301a\u0301 \u0301b \u0928\u0940', ['e', '\u0301a', '\u0301', ' \u0301', 'b', ' \u0928', '\u0940']],
  ['qwen2', 'camelCase HTTPServer \u01c5x \u4e2dAb A\u4e2d', ['camelCase', ' HTTPServer', ' \u01c5x', ' \u4e2dAb', ' A\u4e2d']],
  ['qwen2', 'a/b //\n\n/ !!\r\n \t x  ', ['a', '/b', ' //\n\n', '/', ' !!\r\n', ' \t', ' x', '  ']],
  [
    'qwen35',
    "Hello  world!\n\n  It's 12345 o'clock",
    ['Hello', ' ', ' world', '!\n\n', ' ', ' It', "'s", ' ', '1', '2', '3', '4', '5', ' o', "'clock"],
  ],
  ['qwen35', "IT'LL x'\u017f 'Re", ['IT', "'LL", ' x', "'\u017f", " '", 'Re']],
  ['qwen35', 'e\u0301a\u0301 \u0301b \u0928\u0940', ['e\u0301a\u0301', ' \u0301b', ' \u0928\u0940']],
  ['qwen35', 'camelCase HTTPServer \u01c5x \u4e2dAb A\u4e2d', ['camelCase', ' HTTPServer', ' \u01c5x', ' \u4e2dAb', ' A\u4e2d']],
  ['qwen35', 'a/b //\n\n/ !!\r\n \t x  ', ['a', '/b', ' //\n\n', '/', ' !!\r\n', ' \t', ' x', '  ']],
  [
    'tekken',
    "Hello  world!\n\n  It's 12345 o'clock",
    ['Hello', ' ', ' world', '!\n\n', ' ', ' It', "'s", ' ', '1', '2', '3', '4', '5', ' o', "'clock"],
  ],
  ['tekken', "IT'LL x'\u017f 'Re", ['IT', "'LL", ' x', "'\u017f", " '", 'Re']],
  ['tekken', 'e\u0301a\u0301 \u0301b \u0928\u0940', ['e\u0301a\u0301', ' \u0301b', ' \u0928\u0940']],
  ['tekken', 'camelCase HTTPServer \u01c5x \u4e2dAb A\u4e2d', ['camel', 'Case', ' HTTPServer', ' \u01c5x', ' \u4e2dAb', ' A\u4e2d']],
  ['tekken', 'a/b //\n\n/ !!\r\n \t x  ', ['a', '/b', ' //\n\n/', ' !!\r\n', ' \t', ' x', '  ']],
  ['gpt-4o', "Hello  world!\n\n  It's 12345 o'clock", ['Hello', ' ', ' world', '!\n\n', ' ', " It's", ' ', '123', '45', ' o', "'clock"]],
  ['gpt-4o', "IT'LL x'\u017f 'Re", ["IT'LL", " x'\u017f", " '", 'Re']],
  ['gpt-4o', 'e\u0301a\u0301 \u0301b \u0928\u0940', ['e\u0301a\u0301', ' \u0301b', ' \u0928\u0940']],
  ['gpt-4o', 'camelCase HTTPServer \u01c5x \u4e2dAb A\u4e2d', ['camel', 'Case', ' HTTPServer', ' \u01c5x', ' \u4e2dAb', ' A\u4e2d']],
  ['gpt-4o', 'a/b //\n\n/ !!\r\n \t x  ', ['a', '/b', ' //\n\n/', ' !!\r\n', ' \t', ' x', '  ']],
]

describe('words of each scanner', () => {
  for (const [name, text, words] of CASES) {
    test(`${name}: ${JSON.stringify(text)}`, () => {
      const pieces = new PieceList()
      preTokenizerForGgufName(name).cutter.split(text, 0, text.length, pieces)
      expect(Array.from({ length: pieces.count }, (_, index) => text.slice(pieces.starts[index], pieces.ends[index]))).toEqual(words)
    })
  }
})

test('an expression that is not known is refused, however harmless', () => {
  expect(() => scannerForPattern('\\s+')).toThrow('not known here')
})
