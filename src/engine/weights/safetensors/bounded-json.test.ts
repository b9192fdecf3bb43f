import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { parseBoundedJson } from './bounded-json.ts'

const LIMITS = { what: 'some.json', maxDepth: 8, refuseDuplicateKeys: false }
const SAMPLE = JSON.stringify({
  version: '1.0',
  added_tokens: [
    { id: 0, content: '<s>', special: true },
    { id: 1, content: '"[\\', special: false },
  ],
  model: {
    type: 'BPE',
    vocab: { '<s>': 0, '"[\\': 1, Ġü: 2, __proto__: 3 },
    merges: [
      ['a', 'b'],
      ['c', '\u{1f642}'],
    ],
  },
})

function parse(text: string, limits = LIMITS): unknown {
  return parseBoundedJson(new TextEncoder().encode(text), limits)
}

test('brackets and quotes inside strings do not count', () => {
  expect(parse(JSON.stringify({ a: '[[[[[[[[[[{{{{"\\', b: '\\"[[[[[[[[[[[[' }))).toEqual({ a: '[[[[[[[[[[{{{{"\\', b: '\\"[[[[[[[[[[[[' })
})

test('depth is allowed up to the limit and not one deeper', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
  expect(parse(nested(8))).toEqual([[[[[[[[]]]]]]]])
  expect(() => parse(nested(9))).toThrow('some.json: nested deeper than 8 at byte 8')
  expect(() => parse('['.repeat(1_000_000))).toThrow('nested deeper than 8')
})

test('a key twice is refused only where asked, and only in one object', () => {
  const strict = { ...LIMITS, refuseDuplicateKeys: true }
  expect(parse('{"a":1,"a":2}')).toEqual({ a: 2 })
  expect(() => parse('{"a":1,"b":{"c":1, "c" :2}}', strict)).toThrow('key "c" appears twice')
  expect(parse('{"a":{"a":"a"},"b":["a","a",{"a":1}]}', strict)).toEqual({ a: { a: 'a' }, b: ['a', 'a', { a: 1 }] })
})

test('a byte-order mark and broken UTF-8 are refused', () => {
  expect(() => parse('\ufeff{}')).toThrow('some.json: not valid JSON')
  expect(() => parseBoundedJson(Uint8Array.of(0x22, 0xc3, 0x22), LIMITS)).toThrow('some.json: not valid UTF-8')
})

test('20,000 mutated tokenizer files are read exactly where JSON.parse reads them', () => {
  const random = new SeededRandom(77)
  const pieces = ['[', ']', '{', '}', '"', '\\', ',', ':', '1e999', '\\u0000', 'null', ' ', '\u0001', '{"__proto__":']
  let numRead = 0
  for (let index = 0; index < 20_000; index++) {
    let text = SAMPLE
    for (let round = 1 + random.nextInt(2); round > 0; round--) {
      const at = random.nextInt(text.length + 1)
      text = text.slice(0, at) + (random.nextInt(2) === 0 ? pieces[random.nextInt(pieces.length)]! : '') + text.slice(at + random.nextInt(3))
    }
    const bytes = new TextEncoder().encode(text)
    const expected = outcome(() => JSON.parse(new TextDecoder().decode(bytes)) as unknown)
    const actual = outcome(() => parseBoundedJson(bytes, { ...LIMITS, maxDepth: 100 }))
    expect(actual.value).toEqual(expected.value)
    if (expected.error !== null) expect(actual.error).toBeInstanceOf(InferdError)
    else numRead++
  }
  expect(numRead).toBeGreaterThan(1000)
})

function outcome(run: () => unknown): { readonly value: unknown; readonly error: unknown } {
  try {
    return { value: run(), error: null }
  } catch (error) {
    return { value: null, error }
  }
}
