/**
 * Matmul alone, per format and tokens a step: time, bytes of packed weights and multiply-adds a second, by processor time.
 *   node --conditions=inferd-source bench/kernels/matmul.ts [FORMATS, comma-separated] [ISA]
 */
import { createNativeKernels } from '#engine/kernels/native/native-kernels'
import type { IsaName } from '#engine/kernels/native/addon'
import { DTYPES, type DType } from '#engine/tensor/dtype'
import { matmulModel } from './llama-shapes.ts'
import { BLOCK_SIZE, steadyStep, timeStep } from './step-timer.ts'

const [formats = Object.keys(DTYPES).join(','), isa = ''] = process.argv.slice(2)
/** Larger than the last-level cache in every format. */
const SHAPE = { numLayers: 8, narrow: 2048, wide: 5632 }

for (const dtype of formats.split(',') as DType[]) {
  const { program, tensors, macsPerToken } = matmulModel(dtype, SHAPE)
  const kernels = createNativeKernels({ isa: isa === '' ? null : (isa as IsaName) })
  const limits = { maxTokens: 128, maxSequences: 1, maxOutputs: 1 }
  const executor = await kernels.bind({
    program,
    tensors,
    kvCache: { numBlocks: 128 / BLOCK_SIZE, blockSize: BLOCK_SIZE, dtype: 'f16' },
    limits,
    numThreads: 1,
  })
  const columns: string[] = []
  for (const numTokens of [1, 2, 4, 8, 16, 64, 128]) {
    const { cpuMs } = await timeStep(executor, steadyStep(1, numTokens, numTokens), 250)
    const perSecond = (amount: number): string => (amount / cpuMs / 1e6).toFixed(numTokens === 1 ? 1 : 0)
    columns.push(
      numTokens === 1
        ? `${perSecond(executor.memory.weightsBytes)} GB/s ${perSecond(macsPerToken)}`
        : `${numTokens}: ${perSecond(macsPerToken * numTokens)}`,
    )
  }
  const bitsPerWeight = (executor.memory.weightsBytes * 8) / macsPerToken
  console.log(`${dtype.padEnd(7)} ${bitsPerWeight.toFixed(2).padStart(5)} bit  GMAC/s of one thread by tokens: 1: ${columns.join('  ')}`)
  await executor.close()
}
