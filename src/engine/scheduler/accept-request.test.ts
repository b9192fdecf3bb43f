import { expect, test } from 'vitest'
import type { InferdError } from '#contract/errors'
import { checkRequest } from './accept-request.ts'
import type { GenerateTokensRequest } from './token-request.ts'

const LIMITS = { vocabSize: 100, contextLength: 32, maxSequences: 4, numBlocks: 8, blockSize: 8 }
const REQUEST: GenerateTokensRequest = {
  kind: 'generate',
  promptTokenIds: [1, 2, 3, 4],
  sampling: { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, presencePenalty: 0, frequencyPenalty: 0, logitBias: [], seed: 0 },
  numChoices: 1,
  maxTokens: null,
  minTokens: 0,
  stopTokenIds: [],
  ignoreEos: false,
  numTopLogprobs: null,
  priority: 0,
  lane: 'shared',
  cacheSalt: '',
  guides: null,
}

function refusalOf(overrides: Partial<GenerateTokensRequest>): readonly (string | null)[] {
  try {
    checkRequest({ ...REQUEST, ...overrides }, LIMITS)
  } catch (error) {
    const { code, param, message } = error as InferdError
    return [code, param, message]
  }
  return []
}

test('a minimum that the prompt leaves no room for is refused with both numbers, whether or not the output is limited', () => {
  const refusal = ['invalid_parameter', 'minTokens', 'min tokens must be in [0, 28]; given 29']
  expect([refusalOf({ minTokens: 28 }), refusalOf({ minTokens: 29 }), refusalOf({ minTokens: 29, maxTokens: 1000 })]).toEqual([[], refusal, refusal])
  expect(refusalOf({ minTokens: 9, maxTokens: 8 })).toEqual(['invalid_parameter', 'minTokens', 'min tokens must be in [0, 8]; given 9'])
})

test('every refusal names a field of GenerateRequest, never one of a protocol', () => {
  const { sampling } = REQUEST
  expect(refusalOf({ promptTokenIds: Array.from({ length: 33 }, () => 1) })).toEqual([
    'context_length_exceeded',
    'input',
    'the context holds 32 tokens; the prompt has 33',
  ])
  expect(refusalOf({ numChoices: 5 })).toEqual(['invalid_parameter', 'numChoices', 'choices must be in [1, 4]; given 5'])
  const places = [{ numTopLogprobs: 21 }, { stopTokenIds: [100] }, { priority: 101 }, { maxTokens: 0 }, { sampling: { ...sampling, topP: 0 } }]
  expect(places.map((overrides) => refusalOf(overrides)[1])).toEqual(['numTopLogprobs', 'stopTokenIds', 'priority', 'maxTokens', 'sampling.topP'])
})
