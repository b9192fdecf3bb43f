/**
 * The fixtures notice: with any one feature of the configuration left out or off by little, the logits leave the reference's
 * by far more than the tolerance of logits.test.ts. A comparison that cannot fail proves nothing.
 */
import { describe, expect, test } from 'vitest'
import { referenceKernels } from '#engine/kernels/reference/reference-kernels'
import type { ModelConfig } from '#engine/models/architecture'
import { bindModel, worstError } from './bound-model.ts'
import { readFixtures } from './fixtures.ts'

const NOTICED = 1e-2

type Alteration = (config: ModelConfig) => ModelConfig

describe.for(readFixtures())('$name', (fixture) => {
  test('without any one of its features the logits differ', async () => {
    const [model] = fixture.models
    const [logitsCase] = fixture.cases
    const unnoticed: string[] = []
    for (const [name, alter] of Object.entries(ALTERATIONS)) {
      let applies = true
      const options = { kernels: referenceKernels, path: model!.path, servedContextLength: logitsCase!.servedContextLength, optimized: false }
      const executor = await bindModel({
        ...options,
        alter: (config) => {
          const altered = alter(config)
          applies = JSON.stringify(altered) !== JSON.stringify(config)
          return altered
        },
      })
      const error = await worstError(executor, fixture.vocabSize, logitsCase!, [logitsCase!.tokens.length])
      await executor.close()
      if (applies && error < NOTICED) unnoticed.push(`${name}: ${error}`)
    }
    expect(unnoticed).toEqual([])
  })
})

const ALTERATIONS: Record<string, Alteration> = {
  'no window': (config) => ({ ...config, window: null }),
  'window one longer': (config) => ({ ...config, window: config.window && { ...config.window, size: config.window.size + 1 } }),
  'global layers local': (config) => ({
    ...config,
    window: config.window && { ...config.window, isLocalLayer: config.window.isLocalLayer.map(() => true) },
  }),
  'no attention soft cap': (config) => ({ ...config, attentionSoftcap: null }),
  'no logit soft cap': (config) => ({ ...config, finalLogitSoftcap: null }),
  'no rope scaling': (config) => ({ ...config, rope: { ...config.rope, scaling: { kind: 'none' } } }),
  'no rope magnitude': (config) => ({ ...config, rope: { ...config.rope, scaling: withoutMagnitude(config.rope.scaling) } }),
  'local layers with the global base': (config) => ({ ...config, rope: { ...config.rope, localTheta: null } }),
  'another base frequency': (config) => ({ ...config, rope: { ...config.rope, theta: config.rope.theta * 10 } }),
  'another score scale': (config) => ({ ...config, attentionScale: config.attentionScale * 1.1 }),
  'another epsilon': (config) => ({ ...config, normEpsilon: 0.1 }),
}

function withoutMagnitude(scaling: ModelConfig['rope']['scaling']): ModelConfig['rope']['scaling'] {
  return 'attentionFactor' in scaling ? { ...scaling, attentionFactor: 1 } : scaling
}
