/** Lines of any sender: cut anywhere, ended anyhow, too long or not text at all. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { InputLine } from '#contract/batch'
import { readLines } from './read-lines.ts'

async function* cut(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let start = 0, index = 0; start < bytes.length; index++) {
    const end = start + (sizes[index % sizes.length] ?? 1)
    yield bytes.subarray(start, end)
    start = end
  }
}

const read = (bytes: string | Uint8Array, { sizes = [7], maxLineBytes = 1000 } = {}): Promise<InputLine[]> =>
  Array.fromAsync(readLines(cut(Buffer.from(bytes as string), sizes), maxLineBytes))

const texts = (lines: readonly InputLine[]): unknown[] =>
  lines.map((line) => (line.kind === 'text' ? [line.number, line.text] : [line.number, line.problem]))

test.each([
  [
    'a last line without its end',
    '{"a":1}\n{"b":2}',
    [
      [1, '{"a":1}'],
      [2, '{"b":2}'],
    ],
  ],
  [
    'ends of lines of Windows',
    '{"a":1}\r\n{"b":2}\r\n',
    [
      [1, '{"a":1}'],
      [2, '{"b":2}'],
    ],
  ],
  [
    'blank lines, which count',
    '\n  \n{"a":1}\n\r\n\n{"b":2}\n\n',
    [
      [3, '{"a":1}'],
      [6, '{"b":2}'],
    ],
  ],
  ['a byte order mark', '\ufeff{"a":1}\n', [[1, '{"a":1}']]],
  ['separators that are no ends of lines', '{"a":"\u2028 \u0085"}\n', [[1, '{"a":"\u2028 \u0085"}']]],
  ['nothing', '', []],
  ['nothing but ends of lines', '\n\r\n\n', []],
] as const)('%s is read', async (_name, bytes, expected) => {
  expect(texts(await read(bytes))).toEqual(expected)
  expect(texts(await read(bytes, { sizes: [1] }))).toEqual(expected)
})

test('bytes that are not UTF-8 spoil their line alone', async () => {
  const bytes = Buffer.concat([Buffer.from('{"a":1}\n'), Buffer.from([0x22, 0xc3, 0x28, 0x22]), Buffer.from('\n{"b":2}\n')])
  expect(texts(await read(bytes))).toEqual([
    [1, '{"a":1}'],
    [2, 'not-utf8'],
    [3, '{"b":2}'],
  ])
})

test('a line of 50 MB is passed over without being kept', async () => {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('{"a":1}\n"')
    const piece = Buffer.alloc(2 ** 20, 'x')
    for (let count = 0; count < 50; count++) yield piece
    yield Buffer.from('"\n{"b":2}')
  }
  expect(texts(await Array.fromAsync(readLines(chunks(), 2 ** 20)))).toEqual([
    [1, '{"a":1}'],
    [2, 'too-long'],
    [3, '{"b":2}'],
  ])
})

test('a line of exactly the limit is read', async () => {
  expect(texts(await read('xxxx\nxxxxx\n', { maxLineBytes: 4 }))).toEqual([
    [1, 'xxxx'],
    [2, 'too-long'],
  ])
})

test('however the bytes come, the lines are the same', async () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 12 }).map((text) => text.replaceAll(/[\n\r\ufeff]/g, '_'))
  const property = fc.asyncProperty(
    fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n')), { maxLength: 20 }),
    fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
    async (lines, sizes) => {
      const expected = lines.map(([text], index) => [index + 1, text]).filter(([, text]) => String(text).trim() !== '')
      expect(texts(await read(lines.flat().join(''), { sizes }))).toEqual(expected)
    },
  )
  await fc.assert(property, { seed: 5, numRuns: 200 })
})
