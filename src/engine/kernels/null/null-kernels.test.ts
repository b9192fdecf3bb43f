import { expect, test } from 'vitest'
import { BugError } from '#base/assert'
import { ALL_FORBIDDEN } from '#engine/sampling/sampling-columns'
import type { TensorFile } from '#engine/weights/tensor-file'
import type { Executor, SamplingBatch, StepBatch } from '../kernels.ts'
import { createNullKernels, nextNullToken, type NullFaults } from './null-kernels.ts'
import { nullProgram } from './null-program.ts'

const VOCAB_SIZE = 50
const BLOCK_SIZE = 4
const NO_TENSORS: TensorFile = {
  format: 'gguf',
  paths: [],
  tensors: new Map(),
  readTensor: () => Promise.reject(new Error('null kernels read nothing')),
  close: () => Promise.resolve(),
}

function bindNull(faults: NullFaults = {}): Promise<Executor> {
  return createNullKernels(faults).bind({
    program: nullProgram({ vocabSize: VOCAB_SIZE }),
    tensors: NO_TENSORS,
    kvCache: { numBlocks: 8, blockSize: BLOCK_SIZE, dtype: 'f16' },
    limits: { maxTokens: 64, maxSequences: 4, maxOutputs: 4 },
    numThreads: null,
  })
}

interface Part {
  readonly tokenIds: readonly number[]
  readonly start: number
  readonly blocks: readonly number[]
}

/** Every sequence samples its last token. */
function stepOf(...parts: readonly Part[]): StepBatch {
  const starts = [0]
  for (const { tokenIds } of parts) starts.push(starts.at(-1)! + tokenIds.length)
  const tableStarts = [0]
  for (const { blocks } of parts) tableStarts.push(tableStarts.at(-1)! + blocks.length)
  const positions = parts.flatMap(({ tokenIds, start }) => tokenIds.map((_, index) => start + index))
  const slots = parts.flatMap(({ tokenIds, start, blocks }) =>
    tokenIds.map((_, index) => (blocks[Math.floor((start + index) / BLOCK_SIZE)] ?? -1) * BLOCK_SIZE + ((start + index) % BLOCK_SIZE)),
  )
  return {
    numTokens: positions.length,
    numSequences: parts.length,
    tokenIds: Int32Array.from(parts.flatMap(({ tokenIds }) => tokenIds)),
    positions: Int32Array.from(positions),
    slotMapping: Int32Array.from(slots),
    sequenceStarts: Int32Array.from(starts),
    contextLengths: Int32Array.from(parts, ({ tokenIds, start }) => start + tokenIds.length),
    blockTableStarts: Int32Array.from(tableStarts),
    blockTables: Int32Array.from(parts.flatMap(({ blocks }) => blocks)),
    outputRows: Int32Array.from(starts.slice(1), (end) => end - 1),
    numOutputs: parts.length,
    numLogitRows: parts.length,
  }
}

interface RowOptions {
  readonly temperature?: number
  readonly seed?: number
  readonly forbidden?: readonly number[]
  /** Of all rows, known when the step has begun; null = every token. */
  readonly allowed?: readonly number[] | null
}

/** Four equal rows; the bias is that of the first. */
function sampling({ temperature = 0, seed = 0, forbidden = [], allowed = null }: RowOptions = {}): SamplingBatch {
  const rows = 4
  const maskWords = Math.ceil(VOCAB_SIZE / 32)
  const masks = new Uint32Array(allowed === null ? 0 : maskWords)
  return {
    temperature: new Float32Array(rows).fill(temperature),
    topK: new Int32Array(rows),
    topP: new Float32Array(rows).fill(1),
    minP: new Float32Array(rows),
    repetitionPenalty: new Float32Array(rows).fill(1),
    presencePenalty: new Float32Array(rows),
    frequencyPenalty: new Float32Array(rows),
    seed: new Uint32Array(rows).fill(seed),
    drawIndex: new Uint32Array(rows),
    numTopLogprobs: new Int32Array(rows).fill(2),
    penaltyStarts: new Int32Array(rows + 1),
    penaltyTokenIds: new Int32Array(0),
    penaltyCounts: new Int32Array(0),
    biasStarts: new Int32Array(rows + 1).fill(forbidden.length, 1),
    biasTokenIds: Int32Array.from(forbidden),
    biasValues: new Float32Array(forbidden.length).fill(-Infinity),
    maskIndex: new Int32Array(rows).fill(allowed === null ? -1 : 0),
    masks,
    maskWords,
    fillMasks: allowed === null ? null : () => allowed.forEach((id) => (masks[id >> 5]! |= 1 << (id & 31))),
    captureLogits: false,
  }
}

const greedy = { vocabSize: VOCAB_SIZE, temperature: 0, seed: 0, drawIndex: 0 }
const prompt = [3, 1, 4, 1, 5, 9]

test('a token depends on the prefix only, however the prompt is cut into steps', async () => {
  const whole = await (await bindNull()).runStep(stepOf({ tokenIds: prompt, start: 0, blocks: [0, 1] }), sampling())
  const executor = await bindNull()
  await executor.runStep(stepOf({ tokenIds: prompt.slice(0, 3), start: 0, blocks: [5] }), sampling())
  const cut = await executor.runStep(
    stepOf({ tokenIds: [7, 7], start: 0, blocks: [3] }, { tokenIds: prompt.slice(3), start: 3, blocks: [5, 2] }),
    sampling(),
  )
  expect(whole.tokenIds[0]).toBe(nextNullToken({ ...greedy, tokenIds: prompt }))
  expect(cut.tokenIds[1]).toBe(whole.tokenIds[0])
})

test('a sampled token depends on the seed and a forbidden token is passed over', async () => {
  const batch = stepOf({ tokenIds: prompt, start: 0, blocks: [0, 1] })
  const draws = new Set<number>()
  for (let seed = 0; seed < 20; seed++) {
    const output = await (await bindNull()).runStep(batch, sampling({ temperature: 1, seed }))
    expect(output.tokenIds[0]).toBe(nextNullToken({ tokenIds: prompt, vocabSize: VOCAB_SIZE, temperature: 1, seed, drawIndex: 0 }))
    draws.add(output.tokenIds[0]!)
  }
  expect(draws.size).toBeGreaterThan(5)
  const first = nextNullToken({ ...greedy, tokenIds: prompt })
  const output = await (await bindNull()).runStep(batch, sampling({ forbidden: [first, (first + 1) % VOCAB_SIZE] }))
  expect(output.tokenIds[0]).toBe((first + 2) % VOCAB_SIZE)
})

test('two sequences may share prefix blocks, in one step as well as later', async () => {
  const executor = await bindNull()
  const output = await executor.runStep(
    stepOf({ tokenIds: [9], start: 4, blocks: [0, 2] }, { tokenIds: [1, 2, 3, 4, 5], start: 0, blocks: [0, 1] }),
    sampling(),
  )
  expect(output.tokenIds[0]).toBe(nextNullToken({ ...greedy, tokenIds: [1, 2, 3, 4, 9] }))
})

test('a copied block continues the same prefix', async () => {
  const executor = await bindNull()
  await executor.runStep(stepOf({ tokenIds: [1, 2], start: 0, blocks: [0] }), sampling())
  executor.copyBlocks(Int32Array.of(0, 6))
  const output = await executor.runStep(stepOf({ tokenIds: [3], start: 2, blocks: [6] }, { tokenIds: [4], start: 2, blocks: [0] }), sampling())
  expect(output.tokenIds[0]).toBe(nextNullToken({ ...greedy, tokenIds: [1, 2, 3] }))
  expect(output.tokenIds[1]).toBe(nextNullToken({ ...greedy, tokenIds: [1, 2, 4] }))
})

test.each<[string, Part]>([
  ['a position that was never written', { tokenIds: [7], start: 6, blocks: [0, 1] }],
  ['a block that another sequence has overwritten', { tokenIds: [7], start: 5, blocks: [0, 2] }],
  ['blocks in the wrong order', { tokenIds: [7], start: 5, blocks: [1, 0] }],
  ['a block behind another prefix', { tokenIds: [7], start: 5, blocks: [3, 1] }],
  ['a block that does not exist', { tokenIds: [7], start: 0, blocks: [8] }],
  ['too few blocks', { tokenIds: [7], start: 5, blocks: [0] }],
])('%s is a bug', async (_, part) => {
  const executor = await bindNull()
  await executor.runStep(
    stepOf({ tokenIds: [1, 2, 3, 4, 5], start: 0, blocks: [0, 1] }, { tokenIds: [6, 2, 3, 4], start: 0, blocks: [3] }),
    sampling(),
  )
  await executor.runStep(stepOf({ tokenIds: [8, 8], start: 0, blocks: [2] }), sampling())
  await expect(executor.runStep(stepOf(part), sampling())).rejects.toThrow(BugError)
})

test('two sequences that write the same slot in one step are a bug', async () => {
  const executor = await bindNull()
  const step = executor.runStep(stepOf({ tokenIds: [1], start: 0, blocks: [0] }, { tokenIds: [1], start: 0, blocks: [0] }), sampling())
  await expect(step).rejects.toThrow('slot 0 is written twice in one step')
})

test('a second step before the first has resolved is a bug', async () => {
  const executor = await bindNull()
  const batch = stepOf({ tokenIds: [1], start: 0, blocks: [0] })
  const first = executor.runStep(batch, sampling())
  await expect(executor.runStep(batch, sampling())).rejects.toThrow('before the first has resolved')
  await first
})

test('injected faults strike the chosen token and the chosen step', async () => {
  const executor = await bindNull({ nonFiniteAfterTokens: new Set([13]), failingSteps: new Map([[1, new Error('lost the machine')]]) })
  const batch = stepOf({ tokenIds: [13], start: 0, blocks: [0] }, { tokenIds: [12], start: 0, blocks: [1] })
  const output = await executor.runStep(batch, sampling())
  expect([...output.nonFinite]).toEqual([1, 0])
  await expect(executor.runStep(batch, sampling())).rejects.toThrow('lost the machine')
  await expect(executor.runStep(batch, sampling())).resolves.toBeDefined()
})

test('a mask is filled once, after the step has begun, and leaves only its tokens', async () => {
  const executor = await bindNull()
  const batch = stepOf({ tokenIds: prompt, start: 0, blocks: [0, 1] })
  const masked = sampling({ allowed: [7] })
  let numCalls = 0
  const fillMasks = (): void => {
    numCalls++
    masked.fillMasks?.()
  }
  const step = executor.runStep(batch, { ...masked, fillMasks })
  expect(numCalls).toBe(0)
  expect((await step).tokenIds[0]).toBe(7)
  expect(numCalls).toBe(1)
  expect((await executor.runStep(batch, sampling({ allowed: [7], forbidden: [7] }))).nonFinite[0]).toBe(ALL_FORBIDDEN)
})

test('masks that are not of the right size are found', async () => {
  const executor = await bindNull()
  const batch = stepOf({ tokenIds: prompt, start: 0, blocks: [0, 1] })
  const masked = sampling({ allowed: [7] })
  const { maskWords } = masked
  await expect(executor.runStep(batch, { ...masked, maskWords: maskWords + 1 })).rejects.toThrow(BugError)
  await expect(executor.runStep(batch, { ...masked, masks: new Uint32Array(0) })).rejects.toThrow(BugError)
  await expect(executor.runStep(batch, { ...masked, maskIndex: new Int32Array(4).fill(1) })).rejects.toThrow(BugError)
})
