/**
 * Matmul alone, per format and tokens a step: time, bytes of packed weights and multiply-adds a second, by processor time.
 * Arguments: [FORMATS, comma-separated [ISA]] [--read-gbps N --gmacs N]: what one core of this machine was measured to read and to multiply.
 */
import { parseArgs } from 'node:util'
import { createNativeKernels } from '#engine/kernels/native/native-kernels'
import type { IsaName } from '#engine/kernels/native/addon'
import { DTYPES, type DType } from '#engine/tensor/dtype'
import { keep, recordOf } from '../record.ts'
import { matmulModel } from './llama-shapes.ts'
import { BLOCK_SIZE, steadyStep, timeStep } from './step-timer.ts'

const { values: limits, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'read-gbps': { type: 'string' }, gmacs: { type: 'string' } },
})
const [formats = Object.keys(DTYPES).join(','), isa = ''] = positionals
/** Larger than the last-level cache in every format. */
const SHAPE = { numLayers: 8, narrow: 2048, wide: 5632 }

for (const dtype of formats.split(',') as DType[]) {
  const { program, tensors, macsPerToken } = matmulModel(dtype, SHAPE)
  const kernels = createNativeKernels({ isa: isa === '' ? null : (isa as IsaName) })
  const executor = await kernels.bind({
    program,
    tensors,
    kvCache: { numBlocks: 128 / BLOCK_SIZE, blockSize: BLOCK_SIZE, dtype: 'f16' },
    limits: { maxTokens: 128, maxSequences: 1, maxOutputs: 1 },
    numThreads: 1,
  })
  const columns: string[] = []
  for (const numTokens of [1, 2, 4, 8, 16, 64, 128]) {
    const { cpuMs } = await timeStep(executor, steadyStep(1, numTokens, numTokens), 250)
    keepRecords(`${dtype}, ${SHAPE.wide} x ${SHAPE.narrow}, ${numTokens} tokens`, cpuMs, {
      bytes: executor.memory.weightsBytes,
      macs: macsPerToken * numTokens,
    })
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

/** By processor time of one thread, of all matrices of the step together. */
function keepRecords(name: string, cpuMs: number, work: { readonly bytes: number; readonly macs: number }): void {
  const limitOf = (given: string | undefined): number | undefined => (given === undefined ? undefined : Number(given))
  keep(recordOf({ suite: 'matmul', case: name, metric: 'time', unit: 'ms' }, [cpuMs]))
  keep(
    recordOf({ suite: 'matmul', case: name, metric: 'packed weights read', unit: 'GB/s' }, [work.bytes / cpuMs / 1e6], limitOf(limits['read-gbps'])),
  )
  keep(recordOf({ suite: 'matmul', case: name, metric: 'multiply-adds', unit: 'GMAC/s' }, [work.macs / cpuMs / 1e6], limitOf(limits.gmacs)))
}
