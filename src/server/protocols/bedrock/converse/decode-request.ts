/** A Converse body becomes a ConverseCall, or an InferdError that names the field at fault. */
import type { CallOptions } from '#contract/call'
import type { ChatMessage, CountRequest, OutputFormat } from '#contract/generate'
import type { GuardContent } from '#contract/guardrail'
import { readCallOptions } from '#server/call-option-headers'
import { type FieldRules, Fields, invalid, typeMismatch } from '#server/fields'
import { parseJsonText } from '#server/json-text'
import type { DecodeContext, Incoming, JsonObject } from '#server/operation'
import { checkLatency, guardrailOf, readLabels, tierOf } from '#server/protocols/bedrock/call-terms'
import { type ModelFields, readModelFields } from './model-fields.ts'
import { readConversation } from './read-messages.ts'
import { readTools } from './tool-fields.ts'
import { readMember } from './union-field.ts'
import type { ConverseCall } from './wire-types.ts'

const INT32_MAX = 2 ** 31 - 1
const MAX_RESPONSE_PATHS = 10
const MAX_RESPONSE_PATH_LENGTH = 256
/** RFC 6901. */
const JSON_POINTER = /^(?:\/(?:[^~/]|~[01])*)+$/

/** What says how the prompt is made: all that counting reads. */
const PROMPT_RULES = {
  messages: 'read',
  system: 'read',
  toolConfig: 'read',
  additionalModelRequestFields: 'read',
} as const satisfies FieldRules

const CONVERSE_RULES: FieldRules = {
  ...PROMPT_RULES,
  inferenceConfig: 'read',
  guardrailConfig: 'read',
  additionalModelResponseFieldPaths: 'read',
  requestMetadata: 'read',
  performanceConfig: 'read',
  serviceTier: 'read',
  outputConfig: 'read',
  promptVariables: (value) => typeof value === 'object' && value !== null && Object.keys(value).length === 0,
}

export function decodeConverse({ body, headers }: Incoming, context: DecodeContext, { stream }: { readonly stream: boolean }): ConverseCall {
  const fields = new Fields(body)
  fields.check(CONVERSE_RULES)
  const { messages, guarded, tools, model } = readPrompt(fields, context)
  const inference = readInference(fields, context)
  const { budgetTokens } = model.reasoning
  if (budgetTokens !== null && inference.maxTokens !== null && budgetTokens >= inference.maxTokens) {
    const path = 'additionalModelRequestFields.thinking.budget_tokens'
    throw invalid(path, `${path} (${budgetTokens}) must be below inferenceConfig.maxTokens (${inference.maxTokens})`)
  }
  return {
    options: readOptions(fields, headers, { stream, guarded }),
    responsePaths: readResponsePaths(fields),
    namesLatency: readLatency(fields),
    namesTier: fields.value('serviceTier') !== undefined,
    elapsedMs: context.elapsedMs,
    request: {
      requestId: context.responseId,
      input: { kind: 'messages', messages },
      output: { format: readFormat(fields), tools, reasoning: model.reasoning },
      sampling: { temperature: inference.temperature, topP: inference.topP, ...model.sampling },
      maxTokens: inference.maxTokens,
      minTokens: 0,
      stopStrings: inference.stopStrings,
      stopTokenIds: [],
      ignoreEos: false,
      includeStopString: false,
      numTopLogprobs: null,
      numChoices: 1,
      echo: false,
      priority: 0,
      cacheSalt: '',
    },
  }
}

/** `body`: of CountTokens' `input.converse`. */
export function decodeConversePrompt(body: JsonObject, context: DecodeContext): CountRequest {
  const fields = new Fields(body)
  fields.check(PROMPT_RULES)
  const { messages, tools, model } = readPrompt(fields, context)
  return { input: { kind: 'messages', messages }, output: { format: { kind: 'text' }, tools, reasoning: model.reasoning } }
}

interface Prompt {
  readonly messages: readonly ChatMessage[]
  readonly guarded: readonly GuardContent[]
  readonly tools: ConverseCall['request']['output']['tools']
  readonly model: ModelFields
}

function readPrompt(fields: Fields, context: DecodeContext): Prompt {
  const { tools, cachePoint } = readTools(fields, context)
  const { messages, guarded } = readConversation(fields, context)
  const [first] = messages
  // Tools stand in front of everything: what keeps them keeps the first message.
  if (cachePoint && first !== undefined) messages[0] = { ...first, cachePoint: true }
  return { messages, guarded, tools, model: readModelFields(fields) }
}

interface Inference {
  readonly maxTokens: number | null
  readonly temperature: number
  readonly topP: number
  readonly stopStrings: readonly string[]
}

function readInference(body: Fields, { limits }: DecodeContext): Inference {
  const fields = body.nestedFields('inferenceConfig') ?? new Fields({}, 'inferenceConfig')
  fields.check({ maxTokens: 'read', temperature: 'read', topP: 'read', stopSequences: 'read' })
  const items = fields.list('stopSequences', { maxItems: limits.maxStopStrings }) ?? []
  const stopStrings = items.map((item, index) => {
    const path = `${fields.pathOf('stopSequences')}[${index}]`
    if (typeof item !== 'string') throw typeMismatch(path, 'a string', item)
    const numBytes = Buffer.byteLength(item)
    if (numBytes === 0 || numBytes > limits.maxStopStringBytes) {
      throw invalid(path, `${path} must have 1 to ${limits.maxStopStringBytes} bytes of UTF-8, got ${numBytes}`)
    }
    return item
  })
  return {
    maxTokens: fields.integer('maxTokens', { min: 1, max: INT32_MAX }),
    temperature: fields.number('temperature', { min: 0, max: 1 }) ?? 1,
    topP: fields.number('topP', { min: 0, max: 1, aboveMin: true }) ?? 1,
    stopStrings,
  }
}

function readFormat(body: Fields): OutputFormat {
  const format = body.nestedFields('outputConfig')
  format?.check({ textFormat: 'read' })
  const textFormat = format?.nestedFields('textFormat') ?? null
  if (textFormat === null) return { kind: 'text' }
  textFormat.check({ type: 'read', structure: 'read' })
  if (textFormat.word('type', ['json_schema']) === null) throw textFormat.missing('type')
  const structure = textFormat.requiredFields('structure')
  readMember(structure, textFormat.pathOf('structure'), { known: ['jsonSchema'] })
  const definition = structure.requiredFields('jsonSchema')
  definition.check({ schema: 'read', name: () => true, description: () => true })
  const schema = parseJsonText(definition.requiredText('schema', { minLength: 1 }), definition.pathOf('schema'))
  return { kind: 'json-schema', schema, whitespace: 'flexible' }
}

interface OptionSources {
  readonly stream: boolean
  readonly guarded: readonly GuardContent[]
}

/** The body speaks before the headers that every dialect takes. */
function readOptions(fields: Fields, headers: Incoming['headers'], { stream, guarded }: OptionSources): CallOptions {
  const options = readCallOptions(headers)
  const tier = fields.nestedFields('serviceTier')
  tier?.check({ type: 'read' })
  const config = fields.nestedFields('guardrailConfig')
  config?.check({
    guardrailIdentifier: 'read',
    guardrailVersion: 'read',
    trace: 'read',
    ...(stream ? { streamProcessingMode: 'read' as const } : {}),
  })
  const guardrail =
    config === null
      ? null
      : guardrailOf(
          {
            identifier: config.text('guardrailIdentifier'),
            version: config.text('guardrailVersion'),
            trace: config.word('trace', ['enabled', 'disabled', 'enabled_full']),
            streaming: config.word('streamProcessingMode', ['sync', 'async']),
            content: guarded.length === 0 ? null : guarded,
          },
          { identifier: config.pathOf('guardrailIdentifier'), version: config.pathOf('guardrailVersion') },
        )
  return {
    ...options,
    tier: tier === null ? options.tier : tierOf(tier.requiredText('type'), tier.pathOf('type')),
    guardrail: guardrail ?? options.guardrail,
    metadata: { ...options.metadata, ...readLabels(fields, 'requestMetadata') },
  }
}

function readLatency(fields: Fields): boolean {
  const config = fields.nestedFields('performanceConfig')
  config?.check({ latency: 'read' })
  const latency = config?.text('latency') ?? null
  if (latency !== null) checkLatency(latency, 'performanceConfig.latency')
  return latency !== null
}

function readResponsePaths(fields: Fields): readonly string[] {
  const items = fields.list('additionalModelResponseFieldPaths', { maxItems: MAX_RESPONSE_PATHS }) ?? []
  return items.map((item, index) => {
    const path = `additionalModelResponseFieldPaths[${index}]`
    if (typeof item !== 'string' || item.length > MAX_RESPONSE_PATH_LENGTH || !JSON_POINTER.test(item)) {
      throw invalid(path, `${path} must be a JSON pointer of at most ${MAX_RESPONSE_PATH_LENGTH} characters, as /stop_sequence`)
    }
    return item
  })
}
