import { expect, test } from 'vitest'
import { samplingParameters } from './sampling-parameters.ts'
import { suppressStopping, TokenMasks } from './token-masks.ts'
import type { SamplingOptions } from '#contract/generate'

const OPTIONS: SamplingOptions = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  seed: 0,
}

test('the words grow by doubling up to the most rows, and are then the same in every step', () => {
  const masks = new TokenMasks({ vocabSize: 70, maxRows: 5 })
  expect(masks.rows().buffer.byteLength).toBe(0)
  const sizes = Array.from({ length: 5 }, () => {
    masks.addRow()
    return masks.rows().buffer.byteLength / 12
  })
  expect(sizes).toEqual([1, 2, 4, 4, 5])
  const { buffer } = masks.rows()
  masks.clear()
  expect([masks.addRow(), masks.addRow()]).toEqual([0, 1])
  expect(masks.rows().buffer).toBe(buffer)
  expect(() => [1, 2, 3, 4].forEach(() => masks.addRow())).toThrow('more rows')
})

test('a row is empty before it is filled, and has no bit beyond the vocabulary after', () => {
  const masks = new TokenMasks({ vocabSize: 70, maxRows: 2 })
  for (let step = 0; step < 2; step++) {
    masks.clear()
    masks.addRow()
    masks.addRow()
    masks.fillRow(1, (words) => {
      expect([...words]).toEqual([0, 0, 0])
      words.fill(0xffffffff)
    })
    expect([...masks.rows().subarray(3)]).toEqual([0xffffffff, 0xffffffff, 0b111111])
  }
  const whole = new TokenMasks({ vocabSize: 64, maxRows: 1 })
  whole.addRow()
  expect([...whole.fillRow(0, (words) => words.fill(0xffffffff))]).toEqual([0xffffffff, 0xffffffff])
})

test.each<[string, number, readonly number[], number]>([
  ['they go while others are allowed', 0b1101, [], 0b1100],
  ['they stay where the mask allows nothing else', 0b0001, [], 0b0001],
  ['they stay where the bias forbids all else that the mask allows', 0b1101, [2, 3], 0b1101],
  ['they go while one is left that the bias does not forbid', 0b1101, [1, 2], 0b1100],
])('stopping tokens before minTokens: %s', (_, before, forbidden, after) => {
  const logitBias = forbidden.map((tokenId) => ({ tokenId, bias: -Infinity }))
  const sampling = { ...OPTIONS, logitBias: [...logitBias, { tokenId: 3, bias: forbidden.includes(3) ? -Infinity : 1 }] }
  const words = Uint32Array.of(before)
  suppressStopping(words, samplingParameters({ sampling, numTopLogprobs: null, minTokens: 2, suppressedTokenIds: [0, 1] }))
  expect(words[0]).toBe(after)
})
