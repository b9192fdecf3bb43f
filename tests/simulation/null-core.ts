/** An engine core on null kernels: one call for tests, simulation and benches. */
import { systemClock } from '#base/clock'
import { EngineCore } from '#engine/engine-core'
import { engineCoreOptions, stepLimits } from '#engine/engine-core-options'
import { createNullKernels } from '#engine/kernels/null/null-kernels'
import { nullProgram } from '#engine/kernels/null/null-program'
import type { EngineCoreParts } from '#engine/engine-core'
import type { EngineCoreOptions } from '#engine/engine-core-options'
import type { Executor } from '#engine/kernels/kernels'
import type { NullFaults } from '#engine/kernels/null/null-kernels'
import type { TensorFile } from '#engine/weights/tensor-file'

const NO_TENSORS: TensorFile = {
  format: 'gguf',
  paths: [],
  tensors: new Map(),
  readTensor: () => Promise.reject(new Error('null kernels read nothing')),
  close: () => Promise.resolve(),
}

/** Small numbers, so that limits are met soon. */
export const SMALL_CORE: EngineCoreOptions = engineCoreOptions({
  contextLength: 96,
  blockSize: 4,
  numBlocks: 64,
  maxTokensPerStep: 32,
  maxPrefillTokensWithDecodes: 16,
  maxSequences: 8,
  maxOutputsPerStep: 12,
  maxWaitingRequests: 64,
  admissionWatermarkBlocks: 2,
  priorityAgingSteps: 50,
  eosTokenIds: [0],
  vocabSize: 64,
  hiddenSize: 8,
  modelIdentity: 'null',
})

export function bindNullExecutor(options: EngineCoreOptions, faults: NullFaults = {}): Promise<Executor> {
  return createNullKernels(faults).bind({
    program: nullProgram({ vocabSize: options.vocabSize, hiddenSize: options.hiddenSize }),
    tensors: NO_TENSORS,
    kvCache: { numBlocks: options.numBlocks, blockSize: options.blockSize, dtype: 'f16' },
    limits: stepLimits(options),
    numThreads: null,
  })
}

export interface NullCoreSetup extends Partial<Omit<EngineCoreParts, 'options'>> {
  readonly options?: Partial<EngineCoreOptions>
  readonly faults?: NullFaults
}

export async function startNullCore({ options, faults, ...parts }: NullCoreSetup = {}): Promise<EngineCore> {
  const complete = { ...SMALL_CORE, ...options }
  const executor = parts.executor ?? (await bindNullExecutor(complete, faults))
  return new EngineCore({ clock: systemClock, ...parts, executor, options: complete })
}
