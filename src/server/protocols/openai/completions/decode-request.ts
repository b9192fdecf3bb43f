/** A text completion body becomes a CompletionCall, or an InferdError that names the field at fault. */
import { InferdError } from '#contract/errors'
import { PLAIN_OUTPUT } from '#contract/generate'
import type { DecodeContext, JsonObject } from '#server/operation'
import { type FieldRules, Fields, invalid } from '#server/fields'
import { OPTION_RULES } from '#server/protocols/openai/call-options'
import { LABEL_RULES } from '#server/protocols/openai/ignored-fields'
import { readModelName } from '#server/protocols/openai/model-field'
import { FORMAT_RULES, readOutputFormat } from '#server/protocols/openai/output-format'
import { COMPLETION_WORDS, promptPaths } from '#server/protocols/openai/places'
import { readPromptInputs } from '#server/protocols/openai/prompt-inputs'
import { checkLogprobEntries } from '#server/protocols/openai/response-size'
import { readSharedFields, readStreamFields, readTokenLimit, SAMPLING_RULES } from '#server/protocols/openai/sampling-fields'
import type { CompletionCall } from './wire-types.ts'

const COMPLETION_RULES: FieldRules = {
  ...LABEL_RULES,
  ...SAMPLING_RULES,
  ...FORMAT_RULES,
  ...OPTION_RULES,
  // A raw prompt has no turns to leave out.
  truncation: (value) => value === 'none',
  model: 'read',
  prompt: 'read',
  max_tokens: 'read',
  logprobs: 'read',
  echo: 'read',
  best_of: 'read',
  suffix: (value) => value === '',
}

/** OpenAI's documented default for this operation. */
const DEFAULT_MAX_TOKENS = 16

export function decodeCompletionRequest(body: JsonObject, context: DecodeContext): CompletionCall {
  const fields = new Fields(body)
  fields.check(COMPLETION_RULES)
  const { limits, facts } = context
  const maxTokens = readTokenLimit(fields, 'max_tokens') ?? DEFAULT_MAX_TOKENS
  const { format, field: formatField } = readOutputFormat(fields, context)
  const request = {
    ...readSharedFields(fields, context, maxTokens),
    output: { ...PLAIN_OUTPUT, format },
    maxTokens,
    numTopLogprobs: fields.integer('logprobs', { min: 0, max: limits.maxTopLogprobs }),
    echo: fields.boolean('echo') ?? false,
  }
  if (request.echo && request.numTopLogprobs !== null) {
    throw new InferdError('unsupported_parameter', 'logprobs of an echoed prompt are not supported by this server', { param: 'logprobs' })
  }
  checkBestOf(fields, request.numChoices)
  const { vocabSize, contextLength } = facts
  const { inputs, isList } = readPromptInputs(fields, 'prompt', { maxPrompts: limits.maxPrompts, vocabSize, contextLength })
  const numChoices = inputs.length * request.numChoices
  if (numChoices > limits.maxTotalChoices) {
    throw invalid('n', `prompts times n must be at most ${limits.maxTotalChoices}, got ${inputs.length} x ${request.numChoices}`)
  }
  const streaming = readStreamFields(fields)
  checkLogprobEntries({ numChoices, maxTokens, numTopLogprobs: request.numTopLogprobs, stream: streaming.stream, param: 'logprobs' }, context)
  return {
    responseId: context.responseId,
    createdSeconds: context.createdSeconds,
    model: readModelName(body),
    systemFingerprint: context.systemFingerprint,
    ...streaming,
    hasTier: fields.value('service_tier') !== undefined,
    words: { ...COMPLETION_WORDS, promptPath: promptPaths('prompt', isList ? inputs.length : null), outputFormat: formatField },
    requests: inputs.map((input, index) => ({ requestId: requestIdOf(context, index, inputs.length), input, ...request })),
  }
}

function requestIdOf({ responseId }: DecodeContext, index: number, numPrompts: number): string {
  return numPrompts === 1 ? responseId : `${responseId}-${index}`
}

/** Sampling more candidates than are returned is not offered. */
function checkBestOf(fields: Fields, numChoices: number): void {
  const bestOf = fields.integer('best_of', { min: 1, max: 2 ** 31 - 1 })
  if (bestOf !== null && bestOf !== numChoices) {
    throw new InferdError('unsupported_parameter', `best_of is only supported when it equals n (${numChoices})`, { param: 'best_of' })
  }
}
