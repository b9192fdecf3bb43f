/**
 * Attention over contexts of several spans (512 positions): what the reference gives, and bit for bit the same however a prompt is cut, however
 * many threads share the spans, and whoever else is in the step.
 */
import { describe, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { KV_DTYPES } from '#engine/kernels/kv-dtype'
import type { Executor, Kernels } from '#engine/kernels/kernels'
import { INSTRUCTION_SETS } from '#engine/kernels/native/addon'
import { createNativeKernels, hasInstructionSet } from '#engine/kernels/native/native-kernels'
import { referenceKernels } from '#engine/kernels/reference/reference-kernels'
import type { ProgramCase } from './case-builder.ts'
import { maxDifference, randomTokens } from './case-runs.ts'
import { attentionCase } from './op-cases.ts'
import { PagedSequences } from './paged-sequences.ts'
import { greedyColumns } from './sampling-columns.ts'

const BLOCK_SIZE = 16
const NUM_BLOCKS = 112
const LENGTH = 1060
const LIMITS = { maxTokens: 600, maxSequences: 2, maxOutputs: 8 }
const CASES = [
  attentionCase({ headDim: 20, numHeads: 6, numKvHeads: 2, window: null, softcap: null }),
  attentionCase({ headDim: 64, numHeads: 3, numKvHeads: 1, window: null, softcap: null }),
  attentionCase({ headDim: 32, numHeads: 2, numKvHeads: 2, window: 530, softcap: 20 }),
]

function bind(kernels: Kernels, { program, tensors }: ProgramCase, dtype: (typeof KV_DTYPES)[number], numThreads: number): Promise<Executor> {
  return kernels.bind({ program, tensors, kvCache: { numBlocks: NUM_BLOCKS, blockSize: BLOCK_SIZE, dtype }, limits: LIMITS, numThreads })
}

/** Hidden state of the prompt's last token. shared: a short sequence is in the last step too. */
async function lastHidden(executor: Executor, { program }: ProgramCase, chunkLengths: readonly number[], isShared = false): Promise<Float32Array> {
  const sequences = new PagedSequences({ numBlocks: NUM_BLOCKS, blockSize: BLOCK_SIZE, random: new SeededRandom(4) })
  const sequence = sequences.add(randomTokens(new SeededRandom(5), LENGTH, program.vocabSize))
  const other = sequences.add(randomTokens(new SeededRandom(6), 540, program.vocabSize))
  let hidden = new Float32Array()
  for (const [index, numTokens] of chunkLengths.entries()) {
    const parts = [{ sequence, numTokens, outputs: 'last' as const }]
    if (isShared && index === chunkLengths.length - 1) parts.push({ sequence: other, numTokens: 540, outputs: 'last' })
    const batch = sequences.step(parts, 0)
    const output = await executor.runStep(batch, greedyColumns(batch.numLogitRows, false))
    hidden = output.hidden.slice(0, program.values[program.hidden]!.width)
  }
  return hidden
}

describe.each(CASES)('$name', (attention) => {
  test.each(KV_DTYPES)('with a cache of %s', async (dtype) => {
    const oracle = await bind(referenceKernels, attention, dtype, 1)
    const expected = await lastHidden(oracle, attention, [599, 460, 1])
    await oracle.close()
    for (const isa of INSTRUCTION_SETS.filter(hasInstructionSet)) {
      const kernels = createNativeKernels({ isa })
      const whole = await bind(kernels, attention, dtype, 1)
      const first = await lastHidden(whole, attention, [600, 460])
      expect(maxDifference(first, expected)).toBeLessThan(2e-5)
      await whole.close()
      for (const numThreads of [1, 3]) {
        const executor = await bind(kernels, attention, dtype, numThreads)
        for (const cut of [
          [599, 460, 1],
          [600, 453, 7],
          [40, 600, 360, 60],
        ])
          expect(maxDifference(await lastHidden(executor, attention, cut), first)).toBe(0)
        expect(maxDifference(await lastHidden(executor, attention, [599, 460, 1], true), first)).toBe(0)
        await executor.close()
      }
    }
  })
})
