/** A chat body becomes a ChatCall, or an InferdError that names the field at fault. */
import type { DecodeContext, JsonObject } from '#server/operation'
import { type FieldRules, Fields, invalid } from '#server/fields'
import { OPTION_RULES } from '#server/protocols/openai/call-options'
import { CHAT_NEUTRAL_RULES } from '#server/protocols/openai/ignored-fields'
import { readModelName } from '#server/protocols/openai/model-field'
import { FORMAT_RULES, readOutputFormat } from '#server/protocols/openai/output-format'
import { CHAT_WORDS } from '#server/protocols/openai/places'
import { checkLogprobEntries } from '#server/protocols/openai/response-size'
import { readSharedFields, readStreamFields, readTokenLimit, SAMPLING_RULES } from '#server/protocols/openai/sampling-fields'
import { readMessages } from './read-messages.ts'
import { readReasoning, REASONING_RULES } from './reasoning-fields.ts'
import { readTools, TOOL_RULES } from './tool-fields.ts'
import type { ChatCall } from './wire-types.ts'

const CHAT_RULES: FieldRules = {
  ...CHAT_NEUTRAL_RULES,
  ...SAMPLING_RULES,
  ...FORMAT_RULES,
  ...TOOL_RULES,
  ...REASONING_RULES,
  ...OPTION_RULES,
  model: 'read',
  messages: 'read',
  max_tokens: 'read',
  max_completion_tokens: 'read',
  logprobs: 'read',
  top_logprobs: 'read',
}

export function decodeChatRequest(body: JsonObject, context: DecodeContext): ChatCall {
  const fields = new Fields(body)
  fields.check(CHAT_RULES)
  const maxTokens = readOutputLimit(fields)
  const streaming = readStreamFields(fields)
  const shared = readSharedFields(fields, context, maxTokens)
  const numTopLogprobs = readLogprobs(fields, context)
  checkLogprobEntries({ numChoices: shared.numChoices, maxTokens, numTopLogprobs, stream: streaming.stream, param: 'top_logprobs' }, context)
  const { format, field: formatField } = readOutputFormat(fields, context)
  const { reasoning, templateVariables, field: reasoningField } = readReasoning(fields, context)
  return {
    responseId: context.responseId,
    createdSeconds: context.createdSeconds,
    model: readModelName(body),
    systemFingerprint: context.systemFingerprint,
    ...streaming,
    hasTier: fields.value('service_tier') !== undefined,
    words: { ...CHAT_WORDS, outputFormat: formatField, reasoning: reasoningField },
    request: {
      requestId: context.responseId,
      input: { kind: 'messages', messages: readMessages(fields, context), ...(templateVariables === null ? {} : { templateVariables }) },
      ...shared,
      output: { format, tools: readTools(fields, context), reasoning },
      maxTokens,
      numTopLogprobs,
      echo: false,
    },
  }
}

/** `max_tokens` is the older name of `max_completion_tokens`; both may be sent when they agree. */
function readOutputLimit(fields: Fields): number | null {
  const older = readTokenLimit(fields, 'max_tokens')
  const newer = readTokenLimit(fields, 'max_completion_tokens')
  if (older !== null && newer !== null && older !== newer) {
    throw invalid('max_tokens', 'max_tokens and max_completion_tokens must agree when both are set')
  }
  return newer ?? older
}

function readLogprobs(fields: Fields, { limits }: DecodeContext): number | null {
  const wanted = fields.boolean('logprobs') ?? false
  const numTop = fields.integer('top_logprobs', { min: 0, max: limits.maxTopLogprobs })
  if (!wanted && numTop !== null && numTop > 0) throw invalid('top_logprobs', 'top_logprobs is only allowed when logprobs is true')
  return wanted ? (numTop ?? 0) : null
}
