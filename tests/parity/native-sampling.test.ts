/**
 * Native sampling against its definition, `sampling/sample-reference.ts`: the same tokens, statuses and logprobs for the logits
 * that the executor computed. Logits are random, or sums of a few integers, where many are equal. C++ samples in one file for
 * every instruction set, so the best one stands for all.
 */
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { nativeKernels } from '#engine/kernels/native/native-kernels'
import { MAX_TOP_LOGPROBS, type Executor, type SamplingBatch, type StepBatch, type StepOutput } from '#engine/kernels/kernels'
import { sampleRow } from '#engine/sampling/sample-reference'
import { ALL_FORBIDDEN, NON_FINITE, SAMPLED } from '#engine/sampling/sampling-columns'
import { CaseBuilder } from './case-builder.ts'
import { bindCase, maxDifference, randomTokens } from './case-runs.ts'
import { PagedSequences } from './paged-sequences.ts'
import { randomMask, randomSamplingRows, samplingColumns, type SamplingRowOptions } from './sampling-columns.ts'

const WIDTH = 8
/** The embedding of this token overflows every logit where embeddings are integers. */
const OVERFLOWING_TOKEN = 0

/** An executor whose logits are random, of deviation about `spread`. */
async function bindRandomLogits(vocabSize: number, spread: number): Promise<Executor> {
  const builder = new CaseBuilder({ name: 'sampling', vocabSize, numLayers: 1, numKvHeads: 1, headDim: WIDTH }, 3)
  const table = builder.weight('table', 'f32', vocabSize, WIDTH)
  return bindCase(nativeKernels, builder.finish(builder.program.embed({ name: 'x', table, scale: (100 * spread) / Math.sqrt(WIDTH) }), WIDTH))
}

/** An executor whose logits are multiples of 1/16 between about -10 and 10. */
async function bindTiedLogits(vocabSize: number): Promise<Executor> {
  const random = new SeededRandom(vocabSize)
  const builder = new CaseBuilder({ name: 'integers', vocabSize, numLayers: 1, numKvHeads: 1, headDim: WIDTH }, 3)
  const x = builder.program.embed({ name: 'x', table: builder.weight('table', 'f32', vocabSize, WIDTH) })
  const tied = builder.finish(x, WIDTH)
  const integers = Float32Array.from({ length: vocabSize * WIDTH }, () => random.nextInt(9) - 4)
  integers.fill(3e38, OVERFLOWING_TOKEN * WIDTH, (OVERFLOWING_TOKEN + 1) * WIDTH)
  const fractions = Float32Array.from({ length: vocabSize * WIDTH }, (_, index) => (index % WIDTH === 0 ? 8 : (random.nextInt(17) - 8) / 16))
  for (const [name, info] of tied.tensors.tensors) {
    tied.tensors.add(name, 'f32', info.shape, new Uint8Array((name.startsWith('table') ? integers : fractions).buffer))
  }
  return bindCase(nativeKernels, tied)
}

function stepOf(tokenIds: readonly number[]): StepBatch {
  const sequences = new PagedSequences({ numBlocks: 96, blockSize: 4, random: new SeededRandom(1) })
  return sequences.step([{ sequence: sequences.add(tokenIds), numTokens: tokenIds.length, outputs: 'all' }])
}

function expected(output: StepOutput, sampling: SamplingBatch, numRows: number, vocabSize: number): StepOutput {
  const columns = {
    tokenIds: new Int32Array(numRows),
    nonFinite: new Uint8Array(numRows),
    logprobs: new Float32Array(numRows),
    topTokenIds: output.topTokenIds.slice(),
    topLogprobs: output.topLogprobs.slice(),
    hidden: output.hidden,
    logits: output.logits,
  }
  const scratch = new Float32Array(vocabSize)
  for (let row = 0; row < numRows; row++) sampleRow(output.logits.subarray(row * vocabSize, (row + 1) * vocabSize), sampling, row, scratch, columns)
  return columns
}

/** Runs one step and compares every column; returns what native gave. */
async function compareStep(
  executor: Executor,
  tokenIds: readonly number[],
  rows: readonly SamplingRowOptions[],
  vocabSize: number,
): Promise<StepOutput> {
  const sampling = samplingColumns(rows, true)
  const output = await executor.runStep(stepOf(tokenIds), sampling)
  const want = expected(output, sampling, rows.length, vocabSize)
  expect([...output.tokenIds]).toEqual([...want.tokenIds])
  expect([...output.nonFinite]).toEqual([...want.nonFinite])
  expect(maxDifference(output.logprobs, want.logprobs)).toBeLessThan(1e-5)
  expect([...output.topTokenIds.subarray(0, rows.length * MAX_TOP_LOGPROBS)]).toEqual([...want.topTokenIds])
  expect(maxDifference(output.topLogprobs, want.topLogprobs)).toBeLessThan(1e-5)
  return output
}

interface Volume {
  readonly vocabSize: number
  readonly numRows: number
  readonly numSteps: number
}

async function compareSteps(executor: Executor, { vocabSize, numRows, numSteps }: Volume, seed: number): Promise<void> {
  const random = new SeededRandom(seed)
  const seen = new Set<number>()
  for (let step = 0; step < numSteps; step++) {
    const tokenIds = randomTokens(random, numRows, vocabSize - 1).map((id) => id + 1)
    const { tokenIds: sampled } = await compareStep(executor, tokenIds, randomSamplingRows(random, numRows, vocabSize), vocabSize)
    sampled.forEach((tokenId) => seen.add(tokenId))
  }
  expect(seen.size).toBeGreaterThan(Math.min(vocabSize / 2, numRows / 3))
  await executor.close()
}

test.each([0.5, 3, 12])('random parameters over a small vocabulary choose the same tokens, logits of deviation %f', async (spread) => {
  await compareSteps(await bindRandomLogits(97, spread), { vocabSize: 97, numRows: 128, numSteps: 10 }, 97 + spread)
})

test.each([7, 300, 5003])('random parameters over %i logits, many of them equal, choose the same tokens', async (vocabSize) => {
  await compareSteps(await bindTiedLogits(vocabSize), { vocabSize, numRows: 48, numSteps: 4 }, vocabSize)
})

test('random parameters over a middle vocabulary choose the same tokens', async () => {
  for (const spread of [1, 6]) await compareSteps(await bindRandomLogits(4099, spread), { vocabSize: 4099, numRows: 64, numSteps: 4 }, 4099 + spread)
})

test('random parameters over a vocabulary of 128,000 choose the same tokens', async () => {
  await compareSteps(await bindRandomLogits(128_000, 3), { vocabSize: 128_000, numRows: 12, numSteps: 1 }, 3)
})

test('equal logits are ordered by id, greedy and among candidates, wherever they stand', async () => {
  const vocabSize = 5003
  const executor = await bindRandomLogits(vocabSize, 1e-60)
  const late = [
    [1500, 4],
    [3100, 4],
    [3101, 4],
    [4900, 4],
  ] as const
  const rows: SamplingRowOptions[] = [
    {},
    { bias: late },
    { temperature: 1, topK: 5, seed: 3 },
    { temperature: 1, topP: 0.5, seed: 9 },
    { temperature: 1, topK: 2, bias: late, seed: 4 },
    { temperature: 1, topK: 3, topP: 0.9, minP: 0.5, seed: 4, numTopLogprobs: 20 },
    { temperature: 1, minP: 1, bias: late, seed: 5 },
    { temperature: 1, topP: 0.25, minP: 1, bias: late, seed: 6 },
  ]
  const output = await compareStep(
    executor,
    rows.map((_, row) => row),
    rows,
    vocabSize,
  )
  expect([...output.tokenIds.subarray(0, 2)]).toEqual([0, 1500])
  await executor.close()
})

test('what lies exactly on the edge of top-p, top-k and min-p is cut as defined', async () => {
  const executor = await bindRandomLogits(128, 1e-60)
  const edges = [{ topP: 0.25 }, { topP: 0.5, topK: 64 }, { minP: 1 }, { minP: 1, topP: 0.25 }, { topK: 32 }, { minP: 1, topK: 32 }]
  const rows = Array.from({ length: 240 }, (_, row) => ({ temperature: 1, seed: row, ...edges[row % edges.length] }))
  const { tokenIds } = await compareStep(
    executor,
    rows.map((_, row) => row % 128),
    rows,
    128,
  )
  expect(Math.max(...tokenIds.filter((_, row) => row % edges.length === 0))).toBeLessThan(32)
  await executor.close()
})

test('a row that is not finite or wholly forbidden is reported as such, its neighbours are sampled', async () => {
  const executor = await bindTiedLogits(97)
  const allForbidden = Array.from({ length: 97 }, (_, id) => [id, -Infinity] as const)
  const rows: SamplingRowOptions[] = [
    { temperature: 1, seed: 1 },
    {},
    { temperature: 1 },
    { bias: allForbidden },
    { temperature: 1, topK: 3, bias: allForbidden },
    { temperature: 1, repetitionPenalty: 1e-38, penalties: allForbidden.map(([id]) => [id, 1]) },
    { repetitionPenalty: 0, penalties: allForbidden.map(([id]) => [id, 1]) },
    { temperature: 1, bias: [[3, Infinity]] },
    { bias: [[3, NaN]] },
    { temperature: 1, minP: 2, seed: 4 },
    { temperature: NaN, topK: 4 },
  ]
  const { nonFinite } = await compareStep(executor, [5, OVERFLOWING_TOKEN, OVERFLOWING_TOKEN, 6, 7, 8, 9, 10, 11, 12, 13], rows, 97)
  await executor.close()
  const bad = NON_FINITE
  expect([...nonFinite]).toEqual([SAMPLED, bad, bad, ALL_FORBIDDEN, ALL_FORBIDDEN, bad, bad, bad, bad, SAMPLED, SAMPLED])
})

test.each([5, 31, 32, 97, 1021])('random masks over a vocabulary of %i leave the same tokens, with every parameter', async (vocabSize) => {
  const numRows = 64
  const random = new SeededRandom(vocabSize)
  for (const executor of [await bindRandomLogits(vocabSize, 3), await bindTiedLogits(vocabSize)]) {
    let numForbidden = 0
    for (let step = 0; step < 6; step++) {
      const masks = Array.from({ length: numRows }, () => (random.nextInt(5) === 0 ? null : randomMask(random, vocabSize)))
      const rows = randomSamplingRows(random, numRows, vocabSize).map((row, index) => ({
        ...row,
        ...(masks[index] === null ? {} : { mask: masks[index]! }),
      }))
      const tokenIds = randomTokens(random, numRows, vocabSize - 1).map((id) => id + 1)
      const { tokenIds: sampled, nonFinite } = await compareStep(executor, tokenIds, rows, vocabSize)
      numForbidden += nonFinite.filter((status) => status === ALL_FORBIDDEN).length
      for (const [row, mask] of masks.entries()) {
        if (mask === null || nonFinite[row] !== SAMPLED) continue
        expect((mask[sampled[row]! >> 5]! >>> (sampled[row]! & 31)) & 1, `row ${row}`).toBe(1)
      }
    }
    expect(numForbidden).toBeGreaterThan(5)
    await executor.close()
  }
})

test('random masks over a vocabulary of 128,000 leave the same tokens', async () => {
  const vocabSize = 128_000
  const random = new SeededRandom(8)
  const executor = await bindRandomLogits(vocabSize, 3)
  const rows = randomSamplingRows(random, 16, vocabSize).map((row) => ({ ...row, mask: randomMask(random, vocabSize) }))
  await compareStep(executor, randomTokens(random, 16, vocabSize), rows, vocabSize)
  await executor.close()
})

test('masks that are filled while the step runs are those that count, and unmasked rows beside them do not change', async () => {
  const vocabSize = 300
  const executor = await bindRandomLogits(vocabSize, 3)
  const random = new SeededRandom(4)
  for (let step = 0; step < 20; step++) {
    const rows = randomSamplingRows(random, 12, vocabSize).map((row, index) =>
      index % 3 === 0 ? row : { ...row, mask: randomMask(random, vocabSize) },
    )
    const complete = samplingColumns(rows)
    const batch = stepOf(randomTokens(random, 12, vocabSize))
    const want = [...(await executor.runStep(batch, complete)).tokenIds]
    let numCalls = 0
    const masks = new Uint32Array(complete.masks.length)
    const fillMasks = (): void => {
      numCalls++
      masks.set(complete.masks)
    }
    const output = await executor.runStep(batch, { ...complete, masks, fillMasks })
    expect([...output.tokenIds]).toEqual(want)
    expect(numCalls).toBe(1)
  }
  await executor.close()
})

test('a step whose masks cannot be filled rejects when it is done, and the next one runs', async () => {
  const executor = await bindRandomLogits(97, 3)
  const sampling = samplingColumns([{ mask: new Uint32Array(4).fill(0xffffffff) }, {}])
  const batch = stepOf([3, 4])
  const want = [...(await executor.runStep(batch, sampling)).tokenIds]
  const failure = new Error('no mask')
  const fillMasks = (): void => {
    throw failure
  }
  await expect(executor.runStep(batch, { ...sampling, fillMasks })).rejects.toBe(failure)
  expect([...(await executor.runStep(batch, sampling)).tokenIds]).toEqual(want)
  await executor.close()
})

test('masks of another width and indices beyond them are refused', async () => {
  const executor = await bindRandomLogits(97, 3)
  const sampling = samplingColumns([{ mask: new Uint32Array(4).fill(0xffffffff) }, {}])
  const batch = stepOf([3, 4])
  await expect(executor.runStep(batch, { ...sampling, maskWords: 3 })).rejects.toThrow('width')
  await expect(executor.runStep(batch, { ...sampling, maskIndex: Int32Array.of(1, -1) })).rejects.toThrow('mask index')
  await expect(executor.runStep(batch, { ...sampling, maskIndex: Int32Array.of(-2, -1) })).rejects.toThrow('mask index')
  await expect(executor.runStep(batch, { ...sampling, maskIndex: Int32Array.of(0) })).rejects.toThrow('too short')
  await executor.close()
})
