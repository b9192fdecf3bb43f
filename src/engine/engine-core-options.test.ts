import { expect, test } from 'vitest'
import { engineCoreOptions, stepLimits } from './engine-core-options.ts'

const FACTS = { contextLength: 4096, numBlocks: 2000, eosTokenIds: [2], vocabSize: 32_000, hiddenSize: 64, modelIdentity: 'test' }

test('defaults follow what is given', () => {
  const options = engineCoreOptions({ ...FACTS, maxSequences: 700 })
  expect(options).toMatchObject({ maxTokensPerStep: 700, maxOutputsPerStep: 700, admissionWatermarkBlocks: 20 })
  expect(stepLimits(options)).toEqual({ maxTokens: 700, maxSequences: 700, maxOutputs: 700 })
  expect(engineCoreOptions({ ...FACTS, maxTokensPerStep: 40, maxSequences: 8 }).maxPrefillTokensWithDecodes).toBe(40)
})

test.each([
  ['a context without room for output', { contextLength: 1 }],
  ['fewer tokens in a step than sequences', { maxSequences: 8, maxTokensPerStep: 7 }],
  ['fewer outputs than sequences', { maxSequences: 8, maxOutputsPerStep: 7 }],
  ['no prefill beside decodes', { maxPrefillTokensWithDecodes: 0 }],
  ['a prefill limit above the budget', { maxTokensPerStep: 64, maxPrefillTokensWithDecodes: 65 }],
  ['no ageing', { priorityAgingSteps: 0 }],
])('numbers that contradict each other are a bug: %s', (_name, given) => {
  expect(() => engineCoreOptions({ ...FACTS, ...given })).toThrow()
})
