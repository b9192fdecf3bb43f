/** An embeddings body becomes an EmbeddingCall, or an InferdError that names the field at fault. */
import { MAX_PRIORITY } from '#contract/generate'
import type { DecodeContext, JsonObject } from '#server/operation'
import { type FieldRules, Fields, invalid } from '#server/fields'
import { LABEL_RULES } from '#server/protocols/openai/ignored-fields'
import { readModelName } from '#server/protocols/openai/model-field'
import { readPromptInputs } from '#server/protocols/openai/prompt-inputs'
import type { EmbeddingCall } from './wire-types.ts'

const EMBEDDING_RULES: FieldRules = {
  ...LABEL_RULES,
  model: 'read',
  input: 'read',
  encoding_format: 'read',
  dimensions: 'read',
  priority: 'read',
  cache_salt: 'read',
}

export function decodeEmbeddingRequest(body: JsonObject, context: DecodeContext): EmbeddingCall {
  const fields = new Fields(body)
  fields.check(EMBEDDING_RULES)
  const { limits, facts } = context
  const { vocabSize, contextLength } = facts
  const { inputs, isList } = readPromptInputs(fields, 'input', { maxPrompts: limits.maxEmbeddingInputs, vocabSize, contextLength })
  return {
    model: readModelName(body),
    encodingFormat: readEncodingFormat(fields),
    hasInputList: isList,
    dimensions: fields.integer('dimensions', { min: 1, max: facts.hiddenSize }),
    request: {
      requestId: context.responseId,
      inputs,
      priority: fields.integer('priority', { min: -MAX_PRIORITY, max: MAX_PRIORITY }) ?? 0,
      cacheSalt: fields.text('cache_salt', { maxLength: 256 }) ?? '',
    },
  }
}

function readEncodingFormat(fields: Fields): 'float' | 'base64' {
  const value = fields.value('encoding_format') ?? 'float'
  if (value !== 'float' && value !== 'base64') throw invalid('encoding_format', 'encoding_format must be float or base64')
  return value
}
