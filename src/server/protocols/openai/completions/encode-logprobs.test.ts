import { expect, test } from 'vitest'
import type { TokenLogprob } from '#contract/generate'
import { encodeCompletionLogprobs, TextOffsets } from './encode-logprobs.ts'

type Alternative = TokenLogprob['top'][number]

function alternative(bytes: readonly number[], logprob: number): Alternative {
  return { tokenId: bytes[0] ?? 0, text: new TextDecoder().decode(Uint8Array.from(bytes)), bytes, logprob }
}

const utf8 = (text: string): number[] => [...Buffer.from(text)]

function token(bytes: readonly number[], logprob = -1, top: readonly Alternative[] = []): TokenLogprob {
  return { ...alternative(bytes, logprob), top }
}

test('the sampled token is always among the alternatives: N + 1 entries when it is not one of them, one for logprobs 0', () => {
  const top = [alternative(utf8('a'), -0.1), alternative(utf8('b'), -3)]
  const tokens = [token(utf8('z'), -9, top), token(utf8('b'), -3, top), token(utf8('q'), -2)]
  expect(encodeCompletionLogprobs(tokens, new TextOffsets()).top_logprobs).toEqual([{ a: -0.1, b: -3, z: -9 }, { a: -0.1, b: -3 }, { q: -2 }])
})

test('parts of code points are spelled by their bytes, so that none overwrites another', () => {
  const top = [
    alternative([0xf0, 0x9f], -0.5),
    alternative([0xf0, 0x9d], -1),
    alternative([0x20, 0x5c, 0xe2, 0x80], -2),
    alternative(utf8('\uFFFD'), -3),
  ]
  const { tokens, top_logprobs: tops } = encodeCompletionLogprobs([token([0xf0, 0x9f], -0.5, top)], new TextOffsets())
  expect(tokens).toEqual(['bytes:\\xf0\\x9f'])
  expect(tops).toEqual([{ 'bytes:\\xf0\\x9f': -0.5, 'bytes:\\xf0\\x9d': -1, 'bytes: \\x5c\\xe2\\x80': -2, '\uFFFD': -3 }])
})

test('tokens that spell alike count once, the sampled one first; a key like __proto__ is a key', () => {
  const named = (text: string, logprob: number): Alternative => ({ tokenId: 1, text, bytes: [], logprob })
  const sampled: TokenLogprob = { ...named('<x>', -4), top: [named('<y>', -1), named('<y>', -2), named('<x>', -3), named('__proto__', -5)] }
  const [top = {}] = encodeCompletionLogprobs([sampled], new TextOffsets()).top_logprobs
  expect(JSON.stringify(top)).toBe('{"<y>":-1,"<x>":-4,"__proto__":-5}')
})

test('a code point that several tokens spell counts once, and its tokens share an offset, also across chunks', () => {
  const tokens = [token(utf8('é!')), token([0xf0]), token([0x9f, 0xa6]), token([0x8a]), token(utf8('x')), token([0xff]), token(utf8('y'))]
  const expected = [0, 2, 2, 2, 3, 4, 5]
  expect(encodeCompletionLogprobs(tokens, new TextOffsets()).text_offset).toEqual(expected)
  const offsets = new TextOffsets()
  expect(tokens.flatMap((each) => encodeCompletionLogprobs([each], offsets).text_offset)).toEqual(expected)
})
