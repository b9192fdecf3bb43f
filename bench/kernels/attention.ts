/**
 * Attention alone: layers without any other work. Decode of one stream over 8,192 positions shows bytes of cache a second, the last 512 tokens of a
 * prompt of 4,096 multiply-adds. With one thread processor time counts, with more the clock.
 *   npm run bench -- attention [THREADS] [ISA]
 */
import { createNativeKernels } from '#engine/kernels/native/native-kernels'
import type { IsaName } from '#engine/kernels/native/addon'
import type { Executor } from '#engine/kernels/kernels'
import { KV_DTYPES, kvRowBytes } from '#engine/kernels/kv-dtype'
import { ProgramBuilder } from '#engine/program/program-builder'
import type { Program } from '#engine/program/program'
import { emit, recordOf } from '../record.ts'
import { RandomTensors } from './random-tensors.ts'
import { BLOCK_SIZE, greedySampling, steadyStep, timeStep, type StepTiming } from './step-timer.ts'

const [threads = '1', isa = ''] = process.argv.slice(2)
const NUM_LAYERS = 8
const DECODE_CONTEXT = 8192
const PROMPT_LENGTH = 4096
const STEP_TOKENS = 512

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

/** Positions that were never written would all be one page of zeros. */
async function writeCache(executor: Executor): Promise<void> {
  const step = steadyStep(1, STEP_TOKENS, STEP_TOKENS)
  for (let firstBlock = 0; firstBlock < DECODE_CONTEXT / BLOCK_SIZE; firstBlock += STEP_TOKENS / BLOCK_SIZE) {
    const slotMapping = step.slotMapping.map((slot) => slot + firstBlock * BLOCK_SIZE)
    await executor.runStep({ ...step, slotMapping, blockTables: step.blockTables.map((block) => block + firstBlock) }, greedySampling(1))
  }
}

for (const [numHeads, numKvHeads, headDim] of [
  [32, 4, 64],
  [32, 8, 64],
  [16, 16, 64],
  [64, 8, 128],
  [32, 8, 128],
] as const) {
  const { program, tensors } = attentionModel(numHeads, numKvHeads, headDim)
  for (const dtype of KV_DTYPES) {
    const kernels = createNativeKernels({ isa: isa === '' ? null : (isa as IsaName) })
    const executor = await kernels.bind({
      program,
      tensors,
      kvCache: { numBlocks: DECODE_CONTEXT / BLOCK_SIZE, blockSize: BLOCK_SIZE, dtype },
      limits: { maxTokens: STEP_TOKENS, maxSequences: 1, maxOutputs: 1 },
      numThreads: Number(threads),
    })
    await writeCache(executor)
    const millisecondsOf = ({ cpuMs, medianMs }: StepTiming): number => (threads === '1' ? cpuMs : medianMs)
    const decodeMs = millisecondsOf(await timeStep(executor, steadyStep(1, 1, DECODE_CONTEXT), 300))
    const prefillMs = millisecondsOf(await timeStep(executor, steadyStep(1, STEP_TOKENS, PROMPT_LENGTH), 300))
    const cacheBytes = 2 * DECODE_CONTEXT * numKvHeads * kvRowBytes(dtype, headDim) * NUM_LAYERS
    const macs = 2 * (PROMPT_LENGTH - STEP_TOKENS / 2) * STEP_TOKENS * numHeads * headDim * NUM_LAYERS
    const name = `${numHeads}/${numKvHeads} heads x ${headDim}, ${dtype} cache, ${threads} threads`
    const record = (metric: string, unit: string, amount: number): void => emit(recordOf({ suite: 'attention', case: name, metric, unit }, [amount]))
    record(`decode at ${DECODE_CONTEXT}`, 'GB/s', cacheBytes / decodeMs / 1e6)
    record(`decode at ${DECODE_CONTEXT}, a layer`, 'ms', decodeMs / NUM_LAYERS)
    record(`prefill of ${STEP_TOKENS} up to ${PROMPT_LENGTH}`, 'GMAC/s', macs / prefillMs / 1e6)
    await executor.close()
  }
}
