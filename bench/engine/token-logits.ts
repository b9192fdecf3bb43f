/** Logits after every token of given sequences, straight from an executor, on an F32 KV cache. */
import type { Executor } from '#engine/kernels/kernels'
import { createNativeKernels } from '#engine/kernels/native/native-kernels'
import { referenceKernels } from '#engine/kernels/reference/reference-kernels'
import { findArchitecture } from '#engine/models/registry'
import { optimize } from '#engine/program/optimize'
import { openModelFiles } from '#engine/weights/model-files'
import { BLOCK_SIZE, NUM_BLOCKS, runSequence, STEP_LIMITS } from '../../tests/golden/architectures/step-driver.ts'
import { WidenedTensors } from './widened-tensors.ts'

export const MAX_SEQUENCE_LENGTH = BLOCK_SIZE * NUM_BLOCKS

/** `native`: as the engine computes. `f32`: the same weights and all activations in F32, by the reference kernels. */
export type Precision = 'native' | 'f32'

export interface LogitsOrder {
  readonly modelPath: string
  readonly precision: Precision
  /** Token ids, at most MAX_SEQUENCE_LENGTH each. */
  readonly sequences: readonly (readonly number[])[]
  readonly vocabSize: number
}

/** f32 (tokens of all sequences, vocabSize). */
export async function tokenLogits({ modelPath, precision, sequences, vocabSize }: LogitsOrder): Promise<Float32Array> {
  const executor = await bindModel(modelPath, precision)
  const numTokens = sequences.reduce((sum, tokens) => sum + tokens.length, 0)
  const logits = new Float32Array(numTokens * vocabSize)
  let numDone = 0
  for (const tokens of sequences) {
    logits.set(await runSequence(executor, vocabSize, { tokens, chunkLengths: chunksOf(tokens.length) }), numDone * vocabSize)
    numDone += tokens.length
  }
  await executor.close()
  return logits
}

async function bindModel(modelPath: string, precision: Precision): Promise<Executor> {
  const files = await openModelFiles(modelPath)
  const tensors = precision === 'f32' ? new WidenedTensors(files.tensors) : files.tensors
  try {
    const architecture = findArchitecture(files.metadata)
    const config = await architecture.readConfig(files.metadata, tensors)
    const program = optimize(architecture.build(config, tensors, MAX_SEQUENCE_LENGTH))
    const kernels = precision === 'f32' ? referenceKernels : createNativeKernels({ isa: null })
    const kvCache = { numBlocks: NUM_BLOCKS, blockSize: BLOCK_SIZE, dtype: 'f32' } as const
    return await kernels.bind({ program, tensors, kvCache, limits: STEP_LIMITS, numThreads: 2 })
  } finally {
    await tensors.close()
  }
}

function chunksOf(length: number): number[] {
  const { maxTokens } = STEP_LIMITS
  return Array.from({ length: Math.ceil(length / maxTokens) }, (_, index) => Math.min(maxTokens, length - index * maxTokens))
}
