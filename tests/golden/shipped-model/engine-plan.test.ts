/** What is known of a model before it is loaded, against what the loaded engine says of itself. */
import { expect, test } from 'vitest'
import type { EngineOptions } from '#engine/engine'
import { loadEngine, planEngine } from '#engine/load-engine'

const OPTIONS: Omit<EngineOptions, 'modelPath'> = {
  kernels: 'native',
  isa: null,
  contextLength: null,
  kvCacheBytes: null,
  kvDType: 'f16',
  packedWeights: null,
  blockSize: 16,
  maxTokensPerStep: 512,
  maxSequences: 64,
  maxWaitingRequests: 64,
  numThreads: 2,
}
const FREE_BYTES = 128 * 2 ** 20
const MAX_EXCESS_BYTES = 4 * 2 ** 20

const CASES: readonly (readonly [string, Partial<EngineOptions>])[] = [
  ['models/inferd-chat/inferd-chat-Q8_0.gguf', {}],
  ['models/inferd-chat/inferd-chat-Q4_0.gguf', { contextLength: 512 }],
  ['models/inferd-chat/inferd-chat-Q4_K_M.gguf', { kvDType: 'f32' }],
  ['models/inferd-chat/inferd-chat-Q8_0.gguf', { kvDType: 'q8_0' }],
  ['models/inferd-chat/model.safetensors', { maxTokensPerStep: 2048, numThreads: 1 }],
  ['models/inferd-draft/inferd-draft-Q8_0.gguf', { kernels: 'reference', maxSequences: 4 }],
]

test.each(CASES)('%s takes what its headers promised: not a byte more, little less', async (modelPath, changes) => {
  const options = { ...OPTIONS, ...changes, modelPath }
  const plan = await planEngine(options, FREE_BYTES)
  const engine = await loadEngine(options.kernels === 'reference' ? options : { ...options, kvCacheBytes: plan.memory.kvCacheBytes })
  const { memory } = engine.stats()
  await engine.close()
  expect(engine.facts).toEqual(plan.facts)
  expect(memory.kvCacheBytes).toBe(plan.memory.kvCacheBytes)
  const total = ({ weightsBytes, kvCacheBytes, activationBytes }: typeof memory): number => weightsBytes + kvCacheBytes + activationBytes
  expect(total(memory)).toBeLessThanOrEqual(total(plan.memory))
  expect(total(plan.memory) - total(memory)).toBeLessThan(MAX_EXCESS_BYTES)
})
