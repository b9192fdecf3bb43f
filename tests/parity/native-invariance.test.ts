/** A row's result depends on its own sequence only: not on the batch, the cut of the prompt, the blocks or the threads. Bit for bit. */
import { describe, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { INSTRUCTION_SETS } from '#engine/kernels/native/addon'
import { createNativeKernels, hasInstructionSet } from '#engine/kernels/native/native-kernels'
import type { Executor, Kernels } from '#engine/kernels/kernels'
import type { ProgramCase } from './case-builder.ts'
import { bindCase, CASE_LIMITS, F32_CACHE, maxDifference, promptLogits, randomTokens } from './case-runs.ts'
import { plainModel, randomModel } from './model-cases.ts'
import { PagedSequences } from './paged-sequences.ts'
import { greedyColumns } from './sampling-columns.ts'

const ISAS = INSTRUCTION_SETS.filter(hasInstructionSet)
/** Longer than an attention tile (64 positions) and than many tiles of eight tokens. */
const PROMPT_LENGTH = 101

function bindThreads(kernels: Kernels, { program, tensors }: ProgramCase, numThreads: number): Promise<Executor> {
  return kernels.bind({ program, tensors, kvCache: { numBlocks: 96, ...F32_CACHE }, limits: CASE_LIMITS, numThreads })
}

describe.each(ISAS)('%s', (isa) => {
  const kernels = createNativeKernels({ isa })
  const cases = [
    ...(['f32', 'bf16', 'q8_0', 'q4_0', 'q4_k', 'q6_k'] as const).map((dtype) => plainModel(dtype)),
    ...[41, 42, 43].map((seed) => randomModel(new SeededRandom(seed), 'f32', `random model ${seed}`)),
  ]

  test.each(cases)('$name: any cut of a prompt and any number of threads give bit for bit the same logits', async (modelCase) => {
    const { program } = modelCase
    const tokenIds = randomTokens(new SeededRandom(5), PROMPT_LENGTH, program.vocabSize)
    const alone = await bindThreads(kernels, modelCase, 1)
    const whole = await promptLogits(alone, program, tokenIds, [PROMPT_LENGTH])
    expect(whole.every(Number.isFinite)).toBe(true)
    const executors = [alone, await bindThreads(kernels, modelCase, 2), await bindThreads(kernels, modelCase, 5)]
    for (const chunkLengths of [[1, 100], [64, 37], [7, 8, 9, 77], [63, 1, 1, 36], Array.from({ length: PROMPT_LENGTH }, () => 1)]) {
      for (const executor of executors) expect(maxDifference(await promptLogits(executor, program, tokenIds, chunkLengths, 9), whole)).toBe(0)
    }
    for (const executor of executors) await executor.close()
  })

  test.each(cases)('$name: a sequence gets alone what it gets in a batch', async (modelCase) => {
    const { program } = modelCase
    const random = new SeededRandom(6)
    const prompts = [3, 17, 1, 70, 8].map((length) => randomTokens(random, length, program.vocabSize))
    const executor = await bindCase(kernels, modelCase)
    const alone: Float32Array[] = []
    for (const prompt of prompts) alone.push(await promptLogits(executor, program, prompt, [prompt.length]))
    const sequences = new PagedSequences({ numBlocks: 64, blockSize: F32_CACHE.blockSize, random })
    const batch = sequences.step(prompts.map((prompt) => ({ sequence: sequences.add(prompt), numTokens: prompt.length, outputs: 'last' })))
    const { logits } = await executor.runStep(batch, greedyColumns(prompts.length, true))
    for (const [row, prompt] of prompts.entries()) {
      const last = alone[row]!.subarray((prompt.length - 1) * program.vocabSize)
      expect(maxDifference(logits.subarray(row * program.vocabSize, (row + 1) * program.vocabSize), last)).toBe(0)
    }
    await executor.close()
  })
})
