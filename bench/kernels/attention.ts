/**
 * Attention alone: one layer whose other ops are small. Decode shows bytes of cache a second, prefill multiply-adds.
 *   node --conditions=inferd-source bench/kernels/attention.ts [ISA]
 */
import { createNativeKernels } from '#engine/kernels/native/native-kernels'
import type { IsaName } from '#engine/kernels/native/addon'
import { ProgramBuilder } from '#engine/program/program-builder'
import type { Program } from '#engine/program/program'
import { keep, recordOf } from '../record.ts'
import { RandomTensors } from './random-tensors.ts'
import { BLOCK_SIZE, steadyStep, timeStep } from './step-timer.ts'

const [isa = ''] = process.argv.slice(2)
const NUM_LAYERS = 16

function attentionModel(numHeads: number, numKvHeads: number, headDim: number): { readonly program: Program; readonly tensors: RandomTensors } {
  const builder = new ProgramBuilder({ name: 'bench', vocabSize: 64, numLayers: NUM_LAYERS, numKvHeads, headDim })
  const tensors = new RandomTensors()
  const [qWidth, kvWidth] = [numHeads * headDim, numKvHeads * headDim]
  tensors.add('embed', 'f32', [64, qWidth + 2 * kvWidth])
  tensors.add('output', 'f32', [64, qWidth])
  const qkv = builder.embed({ name: 'qkv', table: builder.weight({ name: 'embed', dtype: 'f32', numRows: 64, numColumns: qWidth + 2 * kvWidth }) })
  let out = qkv
  for (let layer = 0; layer < NUM_LAYERS; layer++) {
    builder.kvWrite({ layer, k: builder.view(qkv, qWidth, kvWidth), v: builder.view(qkv, qWidth + kvWidth, kvWidth) })
    out = builder.attention({ name: 'out', layer, q: builder.view(qkv, 0, qWidth), numHeads, scale: headDim ** -0.5 })
  }
  const hidden = builder.selectRows({ name: 'hidden', x: out })
  const logits = builder.linear({
    name: 'logits',
    x: hidden,
    weight: builder.weight({ name: 'output', dtype: 'f32', numRows: 64, numColumns: qWidth }),
    rows: 'logits',
  })
  return { program: builder.finish({ hidden, logits }), tensors }
}

for (const [numHeads, numKvHeads, headDim] of [
  [32, 4, 64],
  [32, 8, 128],
  [16, 16, 64],
] as const) {
  const { program, tensors } = attentionModel(numHeads, numKvHeads, headDim)
  for (const dtype of ['f16', 'f32'] as const) {
    const kernels = createNativeKernels({ isa: isa === '' ? null : (isa as IsaName) })
    const limits = { maxTokens: 256, maxSequences: 1, maxOutputs: 1 }
    const executor = await kernels.bind({
      program,
      tensors,
      kvCache: { numBlocks: 4096 / BLOCK_SIZE, blockSize: BLOCK_SIZE, dtype },
      limits,
      numThreads: 1,
    })
    const cacheBytes = 2 * 4096 * numKvHeads * headDim * (dtype === 'f16' ? 2 : 4) * NUM_LAYERS
    const macs = 2 * (4096 - 128) * 256 * numHeads * headDim * NUM_LAYERS
    const decode = await timeStep(executor, steadyStep(1, 1, 4096), 250)
    const prefill = await timeStep(executor, steadyStep(1, 256, 4096), 250)
    const name = `${numHeads}/${numKvHeads} heads x ${headDim}, ${dtype} cache, context 4096`
    const record = (metric: string, unit: string, amount: number): void => keep(recordOf({ suite: 'attention', case: name, metric, unit }, [amount]))
    record('decode', 'GB/s', cacheBytes / decode.cpuMs / 1e6)
    record('decode, a layer', 'ms', decode.cpuMs / NUM_LAYERS)
    record('prefill of 256', 'GMAC/s', macs / prefill.cpuMs / 1e6)
    console.log(
      `${numHeads}/${numKvHeads} x ${headDim} ${dtype} at 4096, one thread: decode ${(cacheBytes / decode.cpuMs / 1e6).toFixed(1)} GB/s`,
      `prefill 256 ${(macs / prefill.cpuMs / 1e6).toFixed(0)} GMAC/s`,
    )
    await executor.close()
  }
}
