/** How the native executor behaves at its border: bad steps, non-finite logits, hidden states, copied blocks, closing, aborting. */
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { createNativeKernels, nativeKernels } from '#engine/kernels/native/native-kernels'
import type { Executor, StepBatch } from '#engine/kernels/kernels'
import { referenceKernels } from '#engine/kernels/reference/reference-kernels'
import type { TensorFile } from '#engine/weights/tensor-file'
import { CaseBuilder, type ProgramCase } from './case-builder.ts'
import { bindCase, CASE_LIMITS, F32_CACHE, maxDifference, promptLogits, randomTokens } from './case-runs.ts'
import { plainModel } from './model-cases.ts'
import { PagedSequences } from './paged-sequences.ts'
import { greedyColumns } from './sampling-columns.ts'

const MODEL = plainModel('f32')
const TOKENS = randomTokens(new SeededRandom(8), 12, MODEL.program.vocabSize)

function oneStep(numTokens = 12, outputs: 'all' | 'last' = 'last', numLogitRows?: number): StepBatch {
  const sequences = new PagedSequences({ numBlocks: 32, blockSize: F32_CACHE.blockSize, random: new SeededRandom(1) })
  return sequences.step([{ sequence: sequences.add(TOKENS), numTokens, outputs }], numLogitRows)
}

async function withExecutor<T>(programCase: ProgramCase, use: (executor: Executor) => Promise<T>): Promise<T> {
  const executor = await bindCase(nativeKernels, programCase)
  try {
    return await use(executor)
  } finally {
    await executor.close()
  }
}

const BAD_STEPS: readonly (readonly [string, Partial<StepBatch>])[] = [
  ['a token outside the vocabulary', { tokenIds: new Int32Array(12).fill(MODEL.program.vocabSize) }],
  ['a slot outside the cache', { slotMapping: new Int32Array(12).fill(96 * 4) }],
  ['a block outside the cache', { blockTables: new Int32Array(3).fill(96) }],
  ['an output row that is no token', { outputRows: Int32Array.of(12) }],
  ['more tokens than the arrays have', { numTokens: 13 }],
  ['more tokens than the limit', { numTokens: CASE_LIMITS.maxTokens + 1 }],
  ['a block table shorter than its context', { blockTableStarts: Int32Array.of(0, 2) }],
  ['sequences that do not cover the tokens', { sequenceStarts: Int32Array.of(0, 11) }],
]

test.each(BAD_STEPS)('a step with %s is refused and the next one works', async (_, change) => {
  await withExecutor(MODEL, async (executor) => {
    await expect(executor.runStep({ ...oneStep(), ...change }, greedyColumns(1))).rejects.toThrow()
    expect((await executor.runStep(oneStep(), greedyColumns(1))).tokenIds).toHaveLength(1)
  })
})

test('a second step while one runs is refused', async () => {
  await withExecutor(MODEL, async (executor) => {
    const first = executor.runStep(oneStep(), greedyColumns(1))
    await expect(executor.runStep(oneStep(), greedyColumns(1))).rejects.toThrow('a step is running')
    await first
  })
})

test('outputs beyond the logit rows return their hidden state', async () => {
  const batch = oneStep(12, 'all', 5)
  const want = await (await bindCase(referenceKernels, MODEL)).runStep(batch, greedyColumns(5))
  await withExecutor(MODEL, async (executor) => {
    const { hidden, tokenIds } = await executor.runStep(batch, greedyColumns(5))
    expect(hidden).toHaveLength(7 * 256)
    expect(maxDifference(hidden, want.hidden)).toBeLessThan(1e-4)
    expect([...tokenIds]).toEqual([...want.tokenIds])
  })
})

test.each(['f32', 'q8_0'] as const)('a non-finite weight in %s is reported for the rows that it reaches', async (dtype) => {
  const builder = new CaseBuilder({ name: 'poisoned', vocabSize: 64, numLayers: 1, numKvHeads: 1, headDim: 8 }, 3)
  const poisoned = builder.finish(builder.input('x', 256), 256, dtype)
  const info = poisoned.tensors.tensors.get('x.table#0')!
  const table = await poisoned.tensors.readTensor(info)
  new DataView(table.buffer).setFloat32((TOKENS[3]! % 64) * 1024, Infinity, true)
  poisoned.tensors.add('x.table#0', 'f32', info.shape, table)
  await withExecutor(poisoned, async (executor) => {
    const batch = { ...oneStep(12, 'all'), tokenIds: Int32Array.from(TOKENS, (token) => token % 64) }
    const { nonFinite } = await executor.runStep(batch, greedyColumns(12))
    expect([...nonFinite]).toEqual([...batch.tokenIds].map((token) => (token === batch.tokenIds[3] ? 1 : 0)))
  })
})

test('mxfp4 scales below the normal numbers are kept', async () => {
  const builder = new CaseBuilder({ name: 'small scales', vocabSize: 64, numLayers: 1, numKvHeads: 1, headDim: 8 }, 3)
  const x = builder.program.embed({ name: 'x', table: builder.weight('table', 'mxfp4', 64, 32), scale: 2 ** 126 })
  const small = builder.finish(x, 32)
  const name = [...small.tensors.tensors.keys()].find((key) => key.startsWith('table'))!
  const info = small.tensors.tensors.get(name)!
  const blocks = await small.tensors.readTensor(info)
  // A block is its e8m0 scale and sixteen bytes of codes: 2^-127, 2^-126, 2^-125 in turn.
  for (let block = 0; block < 64; block++) blocks[block * 17] = block % 3
  small.tensors.add(name, 'mxfp4', info.shape, blocks)
  const batch = { ...oneStep(12, 'all', 0), tokenIds: Int32Array.from(TOKENS, (token) => token % 64) }
  const want = (await (await bindCase(referenceKernels, small)).runStep(batch, greedyColumns(0))).hidden
  await withExecutor(small, async (executor) => {
    expect(maxDifference((await executor.runStep(batch, greedyColumns(0))).hidden, want)).toBeLessThan(1e-6)
    expect(want.some((value) => Math.abs(value) >= 1)).toBe(true)
  })
})

test('copied blocks hold what their sources hold', async () => {
  await withExecutor(MODEL, async (executor) => {
    const want = (await executor.runStep(oneStep(), greedyColumns(1, true))).logits
    const batch = oneStep()
    await executor.runStep({ ...batch, ...prefixOf(8) }, greedyColumns(1))
    const [from0, from1] = batch.blockTables as unknown as [number, number]
    executor.copyBlocks(Int32Array.of(from0, 90, from1, 91))
    const moved = { ...tailOf(batch, 8), blockTables: Int32Array.of(90, 91, batch.blockTables[2]!) }
    expect(maxDifference((await executor.runStep(moved, greedyColumns(1, true))).logits, want)).toBe(0)
  })
})

function prefixOf(numTokens: number): Partial<StepBatch> {
  return {
    numTokens,
    sequenceStarts: Int32Array.of(0, numTokens),
    contextLengths: Int32Array.of(numTokens),
    outputRows: Int32Array.of(numTokens - 1),
  }
}

function tailOf(batch: StepBatch, numComputed: number): StepBatch {
  const numTokens = batch.numTokens - numComputed
  const cut = (column: Int32Array): Int32Array => column.slice(numComputed)
  return {
    ...batch,
    numTokens,
    tokenIds: cut(batch.tokenIds),
    positions: cut(batch.positions),
    slotMapping: cut(batch.slotMapping),
    sequenceStarts: Int32Array.of(0, numTokens),
    outputRows: Int32Array.of(numTokens - 1),
  }
}

test('closing waits for the running step and may be repeated', async () => {
  const executor = await bindCase(nativeKernels, MODEL)
  const step = executor.runStep(oneStep(), greedyColumns(1))
  await Promise.all([executor.close(), executor.close()])
  expect((await step).tokenIds).toHaveLength(1)
  await expect(executor.runStep(oneStep(), greedyColumns(1))).rejects.toThrow('after close')
})

test('memory is reported, and binding and closing many times gives it back', async () => {
  const before = process.memoryUsage().rss
  for (let i = 0; i < 20; i++) {
    const executor = await nativeKernels.bind({
      program: MODEL.program,
      tensors: MODEL.tensors,
      kvCache: { numBlocks: 4096, blockSize: 16, dtype: 'f32' },
      limits: CASE_LIMITS,
      numThreads: 2,
    })
    expect(executor.memory.kvCacheBytes).toBe(4096 * 16 * 2 * 64 * 4 * MODEL.program.numLayers)
    expect(executor.memory.weightsBytes).toBeGreaterThan(1_000_000)
    await executor.runStep(oneStep(), greedyColumns(1))
    await executor.close()
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20)
})

test('progress reaches the total, and an aborted load rejects with the reason', async () => {
  const progress: number[] = []
  const options = { program: MODEL.program, tensors: MODEL.tensors, kvCache: { numBlocks: 4, ...F32_CACHE }, limits: CASE_LIMITS, numThreads: 1 }
  const executor = await nativeKernels.bind({ ...options, onProgress: (loaded, total) => progress.push(loaded / total) })
  expect(progress.at(-1)).toBe(1)
  await executor.close()
  const controller = new AbortController()
  const binding = nativeKernels.bind({
    ...options,
    signal: controller.signal,
    onProgress: () => controller.abort(new InferdError('cancelled', 'enough')),
  })
  await expect(binding).rejects.toThrow('enough')
})

test('a read that fails while weights load fails the bind', async () => {
  let numReads = 0
  const failing: TensorFile = {
    format: 'gguf',
    paths: [],
    tensors: MODEL.tensors.tensors,
    close: () => Promise.resolve(),
    readTensor: (info, range) =>
      ++numReads > 7 ? Promise.reject(new InferdError('invalid_model_file', 'short read')) : MODEL.tensors.readTensor(info, range),
  }
  const options = { program: MODEL.program, tensors: failing, kvCache: { numBlocks: 4, ...F32_CACHE }, limits: CASE_LIMITS, numThreads: 2 }
  await expect(nativeKernels.bind(options)).rejects.toThrow('short read')
})

test('memory that the system has not is refused with its own error', async () => {
  const options = { program: MODEL.program, tensors: MODEL.tensors, limits: CASE_LIMITS, numThreads: 1 }
  const binding = createNativeKernels().bind({ ...options, kvCache: { numBlocks: 2 ** 30, blockSize: 1024, dtype: 'f32' } })
  await expect(binding).rejects.toMatchObject({
    code: 'insufficient_memory',
    message: expect.stringMatching(/need \d+ MiB, the system has \d+ MiB/) as string,
  })
})

test('more query heads a KV head than the kernels hold are refused with the op that asks for it', async () => {
  const builder = new CaseBuilder({ name: 'many heads', vocabSize: 61, numLayers: 1, numKvHeads: 1, headDim: 8 }, 1)
  const q = builder.input('q', 65 * 8)
  builder.program.kvWrite({ layer: 0, k: builder.input('k', 8), v: builder.input('v', 8) })
  const tooMany = builder.finish(builder.program.attention({ name: 'out', layer: 0, q, numHeads: 65, scale: 1 }), 65 * 8)
  await expect(bindCase(nativeKernels, tooMany)).rejects.toThrow(/op 4 .*65 query heads over 1 KV heads/)
})

test('a prompt gives the same logits after the blocks have been used by others', async () => {
  await withExecutor(MODEL, async (executor) => {
    const want = await promptLogits(executor, MODEL.program, TOKENS, [12], 1)
    await promptLogits(executor, MODEL.program, randomTokens(new SeededRandom(9), 90, MODEL.program.vocabSize), [90], 1)
    expect(maxDifference(await promptLogits(executor, MODEL.program, TOKENS, [5, 7], 1), want)).toBe(0)
  })
})
