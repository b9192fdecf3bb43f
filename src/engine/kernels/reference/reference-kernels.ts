/**
 * The oracle: a program run in plain TypeScript, one op a file, f64 sums and f32 results. Slow and obvious on purpose;
 * native must agree with it.
 */
import { planMemory } from '#engine/program/memory-plan'
import { verifyProgram, verifyWeights } from '#engine/program/verify'
import type { BindOptions, Executor, Kernels } from '../kernels.ts'
import { loadWeights } from './load-weights.ts'
import { ReferenceExecutor } from './reference-executor.ts'

export const referenceKernels: Kernels = {
  name: 'reference',

  async bind(options: BindOptions): Promise<Executor> {
    const { program, tensors, limits, onProgress, signal } = options
    verifyProgram(program)
    verifyWeights(program, tensors)
    const weights = await loadWeights(program, tensors, { onProgress, signal })
    return new ReferenceExecutor({ program, weights, plan: planMemory(program, limits), kvCache: options.kvCache, limits })
  },
}
