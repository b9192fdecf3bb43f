/** An engine core that computes: a model file bound to native or reference kernels, with short memory and small steps. */
import { systemClock } from '#base/clock'
import { EngineCore } from '#engine/engine-core'
import { stepLimits } from '#engine/engine-core-options'
import { findArchitecture } from '#engine/models/registry'
import { optimize } from '#engine/program/optimize'
import { openModelFiles } from '#engine/weights/model-files'
import { SMALL_CORE } from './null-core.ts'
import type { EngineCoreOptions } from '#engine/engine-core-options'
import type { Kernels } from '#engine/kernels/kernels'

export interface RealCore {
  readonly core: EngineCore
  readonly options: EngineCoreOptions
}

export async function startRealCore(kernels: Kernels, modelPath: string, given: Partial<EngineCoreOptions>): Promise<RealCore> {
  const { tensors, metadata } = await openModelFiles(modelPath)
  try {
    const architecture = findArchitecture(metadata)
    const config = await architecture.readConfig(metadata, tensors)
    const shape = { ...SMALL_CORE, ...given }
    const program = optimize(architecture.build(config, tensors, shape.contextLength))
    const options = { ...shape, vocabSize: config.vocabSize, hiddenSize: config.hiddenSize }
    const { numBlocks, blockSize } = options
    const kvCache = { numBlocks, blockSize, dtype: 'f16' } as const
    const executor = await kernels.bind({ program, tensors, kvCache, limits: stepLimits(options), numThreads: 2 })
    return { core: new EngineCore({ executor, options, clock: systemClock }), options }
  } finally {
    await tensors.close()
  }
}
