/**
 * Whole steps of a Llama-shaped model with random weights: decode at several batch sizes, prefill, long contexts.
 *   node --conditions=inferd-source bench/kernels/model.ts [SHAPE] [DTYPE] [THREADS] [ISA] [CASES, such as 1x64@64,8x1@64]
 */
import { createNativeKernels } from '#engine/kernels/native/native-kernels'
import type { IsaName } from '#engine/kernels/native/addon'
import type { DType } from '#engine/tensor/dtype'
import { keep, recordOf } from '../record.ts'
import { llamaModel, LLAMA_SHAPES } from './llama-shapes.ts'
import { BLOCK_SIZE, steadyStep, timeStep } from './step-timer.ts'

const [shapeName = '1.1b', dtype = 'q4_0', threads = '2', isa = '', only = ''] = process.argv.slice(2)
const model = llamaModel(LLAMA_SHAPES[shapeName as keyof typeof LLAMA_SHAPES], dtype as DType)
const executor = await createNativeKernels({ isa: isa === '' ? null : (isa as IsaName) }).bind({
  program: model.program,
  tensors: model.tensors,
  kvCache: { numBlocks: 8192 / BLOCK_SIZE, blockSize: BLOCK_SIZE, dtype: 'f16' },
  limits: { maxTokens: 512, maxSequences: 64, maxOutputs: 64 },
  numThreads: Number(threads),
})
const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0)
const { weightsBytes, kvCacheBytes, activationBytes } = executor.memory
console.log(
  `${shapeName} ${dtype}, ${threads} threads. MiB: weights ${megabytes(weightsBytes)}, KV ${megabytes(kvCacheBytes)}, activations ${megabytes(activationBytes)}`,
)
/** Sequences, new tokens of each, context length. */
const cases = [
  ...([
    [1, 1, 64],
    [2, 1, 64],
    [4, 1, 64],
    [8, 1, 64],
    [16, 1, 64],
    [32, 1, 64],
  ] as const),
  ...([
    [1, 64, 64],
    [1, 256, 256],
    [1, 512, 512],
    [1, 1, 4096],
    [1, 1, 8192],
    [1, 512, 4096],
  ] as const),
]
for (const [numSequences, numNew, context] of cases) {
  if (only !== '' && !only.split(',').includes(`${numSequences}x${numNew}@${context}`)) continue
  const { medianMs, minMs, cpuMs, allMs } = await timeStep(executor, steadyStep(numSequences, numNew, context), 1200)
  const numTokens = numSequences * numNew
  const name = `${shapeName} ${dtype}, ${numSequences} x ${numNew} new tokens, context ${context}, ${threads} threads`
  const record = (metric: string, unit: string, ofRun: (runMs: number) => number): void =>
    keep(recordOf({ suite: 'model', case: name, metric, unit }, allMs.map(ofRun)))
  record('step', 'ms', (runMs) => runMs)
  record('tokens', 'tokens/s', (runMs) => (numTokens * 1000) / runMs)
  record('packed weights read', 'GB/s', (runMs) => weightsBytes / runMs / 1e6)
  record('multiply-adds of matrices', 'GMAC/s', (runMs) => (model.macsPerToken * numTokens) / runMs / 1e6)
  const perSecond = (amount: number): number => amount / medianMs / 1e6
  console.log(
    `${String(numSequences).padStart(3)} x ${String(numNew).padEnd(4)} context ${String(context).padEnd(5)}`,
    `${medianMs.toFixed(1).padStart(8)} ms (min ${minMs.toFixed(1)}, cpu ${cpuMs.toFixed(1)})`,
    `${((numTokens * 1000) / medianMs).toFixed(1).padStart(7)} tok/s`,
    `${perSecond(weightsBytes).toFixed(1)} GB/s  ${perSecond(model.macsPerToken * numTokens).toFixed(0)} GMAC/s`,
  )
}
await executor.close()
