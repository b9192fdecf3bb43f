/** `additionalModelRequestFields`: what Converse has no words for, in the words of the models' own bodies. Unknown ones are refused by name. */
import type { ReasoningOptions, SamplingOptions } from '#contract/generate'
import { type FieldRules, Fields, unsupported } from '#server/fields'

const INT32_MAX = 2 ** 31 - 1

const RULES = {
  top_k: 'read',
  min_p: 'read',
  seed: 'read',
  repetition_penalty: 'read',
  presence_penalty: 'read',
  frequency_penalty: 'read',
  thinking: 'read',
  reasoning_effort: 'read',
} as const satisfies FieldRules

export interface ModelFields {
  readonly sampling: Omit<SamplingOptions, 'temperature' | 'topP'>
  readonly reasoning: ReasoningOptions
}

export function readModelFields(body: Fields): ModelFields {
  const fields = body.nestedFields('additionalModelRequestFields') ?? new Fields({}, 'additionalModelRequestFields')
  fields.check(RULES)
  const seed = fields.integer('seed', { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER })
  return {
    sampling: {
      topK: fields.integer('top_k', { min: 0, max: INT32_MAX }) ?? 0,
      minP: fields.number('min_p', { min: 0, max: 1 }) ?? 0,
      repetitionPenalty: fields.number('repetition_penalty', { min: 0.01, max: 10 }) ?? 1,
      presencePenalty: fields.number('presence_penalty', { min: -2, max: 2 }) ?? 0,
      frequencyPenalty: fields.number('frequency_penalty', { min: -2, max: 2 }) ?? 0,
      logitBias: [],
      // Its low 32 bits seed the sampler, as in the other dialects.
      seed: seed === null ? null : seed >>> 0,
    },
    reasoning: readReasoning(fields),
  }
}

function readReasoning(fields: Fields): ReasoningOptions {
  const effort = fields.word('reasoning_effort', ['minimal', 'low', 'medium', 'high'])
  const thinking = fields.nestedFields('thinking')
  if (thinking === null) return { enabled: null, effort, budgetTokens: null }
  thinking.check({ type: 'read', budget_tokens: 'read' })
  const type = thinking.value('type')
  if (type === 'disabled') return { enabled: false, effort, budgetTokens: null }
  if (type === 'adaptive') return { enabled: null, effort, budgetTokens: null }
  if (type === undefined) throw thinking.missing('type')
  if (type !== 'enabled') throw unsupported(thinking.pathOf('type'), `${thinking.pathOf('type')} must be enabled, disabled or adaptive`)
  const budgetTokens = thinking.integer('budget_tokens', { min: 1, max: INT32_MAX })
  if (budgetTokens === null) throw thinking.missing('budget_tokens')
  return { enabled: true, effort, budgetTokens }
}
