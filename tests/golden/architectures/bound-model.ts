/**
 * From a fixture's path to an executor, and the distance of its logits from the reference's.
 */
import type { Executor, Kernels } from '#engine/kernels/kernels'
import type { ModelConfig } from '#engine/models/architecture'
import { findArchitecture } from '#engine/models/registry'
import { optimize } from '#engine/program/optimize'
import { openModelFiles } from '#engine/weights/model-files'
import type { LogitsCase } from './fixtures.ts'
import { BLOCK_SIZE, NUM_BLOCKS, runSequence, STEP_LIMITS } from './step-driver.ts'

export interface BindModelOptions {
  readonly kernels: Kernels
  readonly path: string
  readonly servedContextLength: number
  /** With the rewrite passes. */
  readonly optimized: boolean
  /** Falsifies the configuration that was read. */
  readonly alter?: (config: ModelConfig) => ModelConfig
}

export async function bindModel({ kernels, path, servedContextLength, optimized, alter = (config) => config }: BindModelOptions): Promise<Executor> {
  const { tensors, metadata } = await openModelFiles(path)
  try {
    const architecture = findArchitecture(metadata)
    const config = alter(await architecture.readConfig(metadata, tensors))
    const built = architecture.build(config, tensors, servedContextLength)
    return await kernels.bind({
      program: optimized ? optimize(built) : built,
      tensors,
      kvCache: { numBlocks: NUM_BLOCKS, blockSize: BLOCK_SIZE, dtype: 'f32' },
      limits: STEP_LIMITS,
      numThreads: 2,
    })
  } finally {
    await tensors.close()
  }
}

/** Largest absolute difference of a logit; NaN when one is. */
export async function worstError(
  executor: Executor,
  vocabSize: number,
  { tokens, logits }: LogitsCase,
  chunkLengths: readonly number[],
): Promise<number> {
  const actual = await runSequence(executor, vocabSize, { tokens, chunkLengths })
  return actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - logits[i]!)), 0)
}
