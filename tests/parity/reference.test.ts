/** What the reference promises about itself: no row of a step depends on how prompts are cut, placed or batched. */
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { referenceKernels } from '#engine/kernels/reference/reference-kernels'
import { optimize } from '#engine/program/optimize'
import { bindCase, F32_CACHE, maxDifference, promptLogits, randomTokens, traceCase } from './case-runs.ts'
import { plainModel, randomModel } from './model-cases.ts'
import { ALL_DTYPES, opCases } from './op-cases.ts'
import { PagedSequences } from './paged-sequences.ts'
import { greedyColumns } from './sampling-columns.ts'

const RANDOM_MODELS = Array.from({ length: 12 }, (_, index) => randomModel(new SeededRandom(100 + index), 'f32', `random model ${index}`))

test.each(RANDOM_MODELS)('$name: any cut of a prompt gives bit for bit the same logits', async (modelCase) => {
  const random = new SeededRandom(5)
  const tokenIds = randomTokens(random, 19, modelCase.program.vocabSize)
  const executor = await bindCase(referenceKernels, modelCase)
  const whole = await promptLogits(executor, modelCase.program, tokenIds, [19])
  expect(whole.every(Number.isFinite)).toBe(true)
  for (const chunkLengths of [Array.from({ length: 19 }, () => 1), [1, 18], [18, 1], [3, 4, 5, 7]]) {
    expect(maxDifference(await promptLogits(executor, modelCase.program, tokenIds, chunkLengths, random.nextUint32()), whole)).toBe(0)
  }
})

test.each(RANDOM_MODELS.slice(0, 4))('$name: a sequence gets alone what it gets in a batch', async (modelCase) => {
  const { program } = modelCase
  const random = new SeededRandom(6)
  const prompts = [3, 17, 8].map((length) => randomTokens(random, length, program.vocabSize))
  const executor = await bindCase(referenceKernels, modelCase)
  const alone = []
  for (const prompt of prompts) alone.push(await promptLogits(executor, program, prompt, [prompt.length]))
  const sequences = new PagedSequences({ numBlocks: 32, blockSize: F32_CACHE.blockSize, random })
  const batch = sequences.step(prompts.map((prompt) => ({ sequence: sequences.add(prompt), numTokens: prompt.length, outputs: 'last' })))
  const { logits } = await executor.runStep(batch, greedyColumns(3, true))
  for (const [row, prompt] of prompts.entries()) {
    const last = alone[row]!.subarray((prompt.length - 1) * program.vocabSize)
    expect(maxDifference(logits.subarray(row * program.vocabSize, (row + 1) * program.vocabSize), last)).toBe(0)
  }
})

test.each(ALL_DTYPES)('a model in %s keeps its logits through the passes, but for rounding', async (dtype) => {
  for (const modelCase of [plainModel(dtype), randomModel(new SeededRandom(31), dtype, `random ${dtype}`)]) {
    const optimized = optimize(modelCase.program)
    expect(optimized.ops.length).toBeLessThan(modelCase.program.ops.length)
    const plain = await traceCase(await bindCase(referenceKernels, modelCase), modelCase.program, 3)
    const fast = await traceCase(await bindCase(referenceKernels, modelCase, F32_CACHE, optimized), optimized, 3)
    for (const [index, logits] of plain.logits.entries())
      expect(maxDifference(fast.logits[index]!, logits)).toBeLessThan(dtype === 'f32' ? 1e-4 : 0.05)
  }
})

test('every op case runs and shows finite rows', async () => {
  const names = new Set<string>()
  for (const opCase of opCases()) {
    names.add(opCase.name)
    const trace = await traceCase(await bindCase(referenceKernels, opCase), opCase.program, 2)
    const rows = [...trace.hidden, ...trace.logits]
    expect(
      rows.every((row) => row.every(Number.isFinite)),
      opCase.name,
    ).toBe(true)
    expect(
      rows.some((row) => row.some((value) => Math.abs(value) > 0.01)),
      opCase.name,
    ).toBe(true)
  }
  expect(names.size).toBe(opCases().length)
})

test('an f16 cache rounds keys and values, and changes little else', async () => {
  const modelCase = plainModel('f32')
  const exact = await traceCase(await bindCase(referenceKernels, modelCase), modelCase.program, 4)
  const rounded = await traceCase(await bindCase(referenceKernels, modelCase, { dtype: 'f16', blockSize: 4 }), modelCase.program, 4)
  const difference = Math.max(...exact.logits.map((logits, index) => maxDifference(rounded.logits[index]!, logits)))
  expect(difference).toBeGreaterThan(0)
  expect(difference).toBeLessThan(0.05)
})
