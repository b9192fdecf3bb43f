import { expect, test } from 'vitest'
import { SamplingBatchBuilder } from './sampling-batch.ts'
import { needsTokenCounts, samplingParameters } from './sampling-parameters.ts'
import { TokenCounts } from './token-counts.ts'
import type { SamplingOptions } from '#contract/generate'
import type { SamplingRow } from './sampling-batch.ts'
import type { SamplingRequest } from './sampling-parameters.ts'

const OPTIONS: SamplingOptions = {
  temperature: 0.5,
  topK: 3,
  topP: 0.75,
  minP: 0.25,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  seed: 0,
}

function row(different: { readonly request?: Partial<SamplingRequest>; readonly row?: Partial<SamplingRow> } = {}): SamplingRow {
  const parameters = samplingParameters({ sampling: OPTIONS, numTopLogprobs: null, minTokens: 0, suppressedTokenIds: [], ...different.request })
  return { parameters, seed: 1, numOutputTokens: 0, tokenCounts: null, isMasked: false, ...different.row }
}

function build(...rows: readonly SamplingRow[]) {
  const builder = new SamplingBatchBuilder({ maxRows: 4, vocabSize: 70 })
  for (const each of rows) builder.addRow(each)
  return builder.build(null)
}

test('each row has its options in every column', () => {
  const batch = build(
    row(),
    row({ request: { numTopLogprobs: 5, sampling: { ...OPTIONS, temperature: 0, topK: 0 } }, row: { seed: 2 ** 32 - 1, numOutputTokens: 9 } }),
  )
  expect([...batch.temperature]).toEqual([0.5, 0])
  expect([...batch.topK]).toEqual([3, 0])
  expect([...batch.topP]).toEqual([0.75, 0.75])
  expect([...batch.minP]).toEqual([0.25, 0.25])
  expect([...batch.seed]).toEqual([1, 2 ** 32 - 1])
  expect([...batch.drawIndex]).toEqual([0, 9])
  expect([...batch.numTopLogprobs]).toEqual([-1, 5])
  expect([...batch.biasStarts]).toEqual([0, 0, 0])
  expect([...batch.penaltyStarts]).toEqual([0, 0, 0])
})

test('penalty lists are the distinct tokens with their output counts, row after row', () => {
  const counts = new TokenCounts()
  for (const tokenId of [7, 8, 7]) counts.addPromptToken(tokenId)
  for (const tokenId of [8, 9, 9]) counts.addOutputToken(tokenId)
  const batch = build(row(), row({ row: { tokenCounts: counts } }), row())
  expect([...batch.penaltyStarts]).toEqual([0, 0, 3, 3])
  expect([...batch.penaltyTokenIds]).toEqual([7, 8, 9])
  expect([...batch.penaltyCounts]).toEqual([0, 1, 2])
})

test('stopping tokens are forbidden until minTokens, on top of the bias', () => {
  const request = {
    sampling: {
      ...OPTIONS,
      logitBias: [
        { tokenId: 5, bias: 2 },
        { tokenId: 6, bias: -1 },
      ],
    },
    minTokens: 3,
    suppressedTokenIds: [6, 9],
  }
  const before = build(row({ request, row: { numOutputTokens: 2 } }))
  expect([...before.biasTokenIds]).toEqual([5, 6, 9])
  expect([...before.biasValues]).toEqual([2, -Infinity, -Infinity])
  const after = build(row({ request, row: { numOutputTokens: 3 } }))
  expect([...after.biasTokenIds]).toEqual([5, 6])
  expect([...after.biasValues]).toEqual([2, -1])
})

test('lists longer than the buffers grow them and keep earlier rows', () => {
  const bias = (offset: number, count: number) => Array.from({ length: count }, (_, index) => ({ tokenId: offset + index, bias: index }))
  const counts = new TokenCounts()
  for (let tokenId = 0; tokenId < 3000; tokenId++) counts.addOutputToken(tokenId)
  const batch = build(
    row({ request: { sampling: { ...OPTIONS, logitBias: bias(10, 2) } }, row: { tokenCounts: counts } }),
    row({ request: { sampling: { ...OPTIONS, logitBias: bias(100, 900) } }, row: { tokenCounts: counts } }),
  )
  expect([...batch.biasStarts]).toEqual([0, 2, 902])
  expect([...batch.biasTokenIds.subarray(0, 4)]).toEqual([10, 11, 100, 101])
  expect(batch.biasValues[901]).toBe(899)
  expect([...batch.penaltyStarts]).toEqual([0, 3000, 6000])
  expect([batch.penaltyTokenIds[2999], batch.penaltyTokenIds[3000], batch.penaltyCounts[5999]]).toEqual([2999, 0, 1])
})

test('more rows than a step may have is a bug', () => {
  expect(() => build(row(), row(), row(), row(), row())).toThrow('more rows')
})

test.each([
  [{}, false],
  [{ repetitionPenalty: 1.1 }, true],
  [{ presencePenalty: -1 }, true],
  [{ frequencyPenalty: 0.1 }, true],
])('penalties %o need token counts: %s', (different, needs) => {
  expect(needsTokenCounts({ ...OPTIONS, ...different })).toBe(needs)
})

test('masked rows get masks in their order, and minTokens leaves their bias alone', () => {
  const request = { minTokens: 3, suppressedTokenIds: [9] }
  const batch = build(row({ request }), row({ request, row: { isMasked: true } }), row(), row({ row: { isMasked: true } }))
  expect([...batch.maskIndex]).toEqual([-1, 0, -1, 1])
  expect([batch.maskWords, batch.masks.length]).toEqual([3, 6])
  expect([...batch.biasStarts]).toEqual([0, 1, 1, 1, 1])
})
