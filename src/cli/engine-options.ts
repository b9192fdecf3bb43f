/** The engine's plain options from the settings that the user gave. */
import type { EngineConfig } from '#config/schema'
import type { EngineOptions } from '#engine/engine'

/** `packedWeights`: a folder of the data directory, where there is one. */
export function engineOptions(modelPath: string, config: EngineConfig, packedWeights: EngineOptions['packedWeights'] = null): EngineOptions {
  return {
    modelPath,
    kernels: config.kernels,
    isa: config.isa === 'auto' ? null : config.isa,
    contextLength: config.ctx,
    kvCacheBytes: config.kvCacheMib === null ? null : config.kvCacheMib * 2 ** 20,
    kvDType: config.kvType,
    packedWeights,
    blockSize: config.blockSize,
    maxTokensPerStep: config.maxStepTokens,
    maxSequences: config.maxSequences,
    maxWaitingRequests: config.maxWaiting,
    numThreads: config.threads,
  }
}
