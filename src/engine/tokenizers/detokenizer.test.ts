import { describe, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { Detokenizer } from './detokenizer.ts'
import type { TokenKind, Tokenizer } from './tokenizer.ts'

/** A tokenizer whose tokens are the given byte strings; the last one is a control token. */
function byteTokenizer(tokens: readonly (readonly number[])[], stripsLeadingSpace = false): Tokenizer {
  const kindOf = (tokenId: number): TokenKind => (tokenId < tokens.length ? 'normal' : 'control')
  return {
    vocabSize: tokens.length + 1,
    bosTokenId: null,
    eosTokenIds: [],
    encode: () => [],
    tokenBytes: (tokenId) => Uint8Array.from(tokens[tokenId] ?? []),
    tokenKind: kindOf,
    tokenText: () => '',
    tokenId: () => null,
    stripsLeadingSpace,
  }
}

const wholeDecoder = new TextDecoder('utf-8', { ignoreBOM: true })

describe('Detokenizer', () => {
  test('text of any bytes in any pieces equals the decoding of all bytes at once, and no piece ends inside a code point', () => {
    const random = new SeededRandom(3)
    const likelyBytes = [0x20, 0x61, 0x80, 0xa0, 0x9f, 0xbf, 0xc2, 0xc3, 0xe0, 0xe2, 0xed, 0xef, 0xbb, 0xf0, 0x90, 0xf4, 0x8f, 0xff, 0xf5]
    for (let run = 0; run < 4000; run += 1) {
      const pieces = Array.from({ length: 1 + random.nextInt(12) }, () =>
        Array.from({ length: 1 + random.nextInt(3) }, () =>
          random.nextInt(2) === 0 ? likelyBytes[random.nextInt(likelyBytes.length)]! : random.nextInt(256),
        ),
      )
      const detokenizer = new Detokenizer(byteTokenizer(pieces))
      const texts = pieces.map((_, tokenId) => detokenizer.push(tokenId))
      texts.push(detokenizer.finish())
      for (const text of texts) expect(text.isWellFormed()).toBe(true)
      expect(texts.join('')).toBe(wholeDecoder.decode(Uint8Array.from(pieces.flat())))
    }
  })

  test('a character split over four tokens comes out whole with the last of them', () => {
    const detokenizer = new Detokenizer(byteTokenizer([[0xf0], [0x9f], [0x98], [0x80]]))
    expect([0, 1, 2, 3].map((tokenId) => detokenizer.push(tokenId))).toEqual(['', '', '', '😀'])
    expect(detokenizer.finish()).toBe('')
  })

  test('a code point cut off at the end becomes one replacement character', () => {
    const detokenizer = new Detokenizer(byteTokenizer([[0x61, 0xf0, 0x9f, 0x98]]))
    expect(detokenizer.push(0)).toBe('a')
    expect(detokenizer.finish()).toBe('\ufffd')
  })

  test('bytes that can never become a code point are not held back', () => {
    const detokenizer = new Detokenizer(byteTokenizer([[0xe0], [0x80], [0x61]]))
    expect(detokenizer.push(0)).toBe('')
    expect(detokenizer.push(1)).toBe('\ufffd\ufffd')
    expect(detokenizer.push(2)).toBe('a')
  })

  test('control tokens emit nothing and do not break a code point in two', () => {
    const detokenizer = new Detokenizer(byteTokenizer([[0xc3], [0xa9]]))
    expect([0, 2, 1].map((tokenId) => detokenizer.push(tokenId)).join('')).toBe('é')
  })

  test('only the first leading space falls, and only where the tokenizer put it', () => {
    const tokens = [[0x20, 0x61]]
    const stripping = new Detokenizer(byteTokenizer(tokens, true))
    expect(stripping.push(0) + stripping.push(0)).toBe('a a')
    expect(new Detokenizer(byteTokenizer(tokens, true), { stripLeadingSpace: false }).push(0)).toBe(' a')
    expect(new Detokenizer(byteTokenizer(tokens)).push(0)).toBe(' a')
  })
})
