/** A Messages body becomes a MessagesCall, or an InferdError that names the field at fault. */
import type { CallOptions } from '#contract/call'
import type { ChatMessage, CountRequest, OutputFormat, OutputOptions, PromptInput, ReasoningOptions, SamplingOptions } from '#contract/generate'
import { readCallOptions } from '#server/call-option-headers'
import { type FieldRules, Fields, invalid, typeMismatch, unsupported } from '#server/fields'
import type { DecodeContext, Incoming } from '#server/operation'
import { readCacheControl } from './cache-control.ts'
import { readMessages, readSystem } from './read-messages.ts'
import { readTools } from './tool-fields.ts'
import type { MessagesCall } from './wire-types.ts'

const INT32_MAX = 2 ** 31 - 1
const MAX_MODEL_NAME_LENGTH = 256
const EFFORTS = ['low', 'medium', 'high', 'xhigh', 'max'] as const

/** What says how the prompt is made: all that counting reads. */
const PROMPT_RULES = {
  model: 'read',
  messages: 'read',
  system: 'read',
  tools: 'read',
  tool_choice: 'read',
  thinking: 'read',
  output_config: 'read',
  cache_control: 'read',
} as const satisfies FieldRules

const MESSAGE_RULES: FieldRules = {
  ...PROMPT_RULES,
  max_tokens: 'read',
  stop_sequences: 'read',
  stream: 'read',
  temperature: 'read',
  top_k: 'read',
  top_p: 'read',
  metadata: 'read',
  service_tier: 'read',
  container: () => false,
  mcp_servers: (value) => Array.isArray(value) && value.length === 0,
  inference_geo: () => false,
  speed: (value) => value === 'standard',
}

export function readModelName(incoming: Incoming): string {
  const fields = new Fields(incoming.body)
  return fields.requiredText('model', { minLength: 1, maxLength: MAX_MODEL_NAME_LENGTH })
}

export function decodeMessagesRequest({ body, headers }: Incoming, context: DecodeContext): MessagesCall {
  const fields = new Fields(body)
  fields.check(MESSAGE_RULES)
  const maxTokens = fields.integer('max_tokens', { min: 1, max: INT32_MAX })
  if (maxTokens === null) throw fields.missing('max_tokens')
  const { input, output } = readPrompt(fields, context)
  const { budgetTokens } = output.reasoning
  if (budgetTokens !== null && budgetTokens >= maxTokens) {
    throw invalid('thinking.budget_tokens', `thinking.budget_tokens (${budgetTokens}) must be below max_tokens (${maxTokens})`)
  }
  return {
    responseId: context.responseId,
    requestId: context.requestId,
    model: fields.requiredText('model'),
    stream: fields.boolean('stream') ?? false,
    options: readOptions(fields, headers),
    request: {
      requestId: context.responseId,
      input,
      output,
      sampling: readSampling(fields),
      maxTokens,
      minTokens: 0,
      stopStrings: readStopSequences(fields, context),
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

export function decodeCountRequest({ body }: Incoming, context: DecodeContext): CountRequest {
  const fields = new Fields(body)
  fields.check(PROMPT_RULES)
  return readPrompt(fields, context)
}

function readPrompt(fields: Fields, context: DecodeContext): { readonly input: PromptInput; readonly output: OutputOptions } {
  const { tools, cachePoint: toolsPoint } = readTools(fields, context)
  const system = readSystem(fields, context)
  const messages = readMessages(fields, context)
  const all: ChatMessage[] = system === null ? messages : [system, ...messages]
  const [first] = all
  // Tools stand in front of everything: what keeps them keeps the first message.
  if (toolsPoint && first !== undefined) all[0] = { ...first, cachePoint: true }
  const last = all.at(-1)
  if (readCacheControl(fields) && last !== undefined) all[all.length - 1] = { ...last, cachePoint: true }
  const { format, effort } = readOutputConfig(fields)
  return { input: { kind: 'messages', messages: all }, output: { format, tools, reasoning: readThinking(fields, effort) } }
}

function readOutputConfig(fields: Fields): { readonly format: OutputFormat; readonly effort: string | null } {
  const config = fields.nestedFields('output_config')
  if (config === null) return { format: { kind: 'text' }, effort: null }
  config.check({ effort: 'read', format: 'read' })
  const effort = config.word('effort', EFFORTS)
  const format = config.nestedFields('format')
  if (format === null) return { format: { kind: 'text' }, effort }
  format.check({ type: 'read', schema: 'read' })
  if (format.word('type', ['json_schema']) === null) throw format.missing('type')
  const schema = format.record('schema')
  if (schema === null) throw format.missing('schema')
  return { format: { kind: 'json-schema', schema, whitespace: 'flexible' }, effort }
}

function readThinking(fields: Fields, effort: string | null): ReasoningOptions {
  const thinking = fields.nestedFields('thinking')
  if (thinking === null) return { enabled: null, effort, budgetTokens: null }
  const type = thinking.value('type')
  thinking.check({ type: 'read', budget_tokens: 'read', display: (value) => value === 'summarized' })
  if (type === 'disabled') return { enabled: false, effort, budgetTokens: null }
  if (type === 'adaptive') return { enabled: null, effort, budgetTokens: null }
  if (type === undefined) throw thinking.missing('type')
  if (type !== 'enabled') throw unsupported('thinking.type', 'thinking.type must be enabled, disabled or adaptive')
  const budgetTokens = thinking.integer('budget_tokens', { min: 1, max: INT32_MAX })
  if (budgetTokens === null) throw thinking.missing('budget_tokens')
  return { enabled: true, effort, budgetTokens }
}

/** Anthropic has no seed: every call draws its own. */
function readSampling(fields: Fields): SamplingOptions {
  return {
    temperature: fields.number('temperature', { min: 0, max: 1 }) ?? 1,
    topK: fields.integer('top_k', { min: 0, max: INT32_MAX }) ?? 0,
    topP: fields.number('top_p', { min: 0, max: 1, aboveMin: true }) ?? 1,
    minP: 0,
    repetitionPenalty: 1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    logitBias: [],
    seed: null,
  }
}

function readStopSequences(fields: Fields, { limits }: DecodeContext): readonly string[] {
  const items = fields.list('stop_sequences', { maxItems: limits.maxStopStrings }) ?? []
  return items.map((item, index) => {
    const path = `stop_sequences[${index}]`
    if (typeof item !== 'string') throw typeMismatch(path, 'a string', item)
    const numBytes = Buffer.byteLength(item)
    if (item.trim() === '' || numBytes > limits.maxStopStringBytes) {
      throw invalid(path, `${path} must have 1 to ${limits.maxStopStringBytes} bytes of UTF-8 that are not all white space`)
    }
    return item
  })
}

/** `auto` is our default: priority is asked for with `x-inferd-tier`, which `standard_only` forbids. */
function readOptions(fields: Fields, headers: Incoming['headers']): CallOptions {
  const isStandardOnly = fields.word('service_tier', ['auto', 'standard_only']) === 'standard_only'
  const metadata = fields.nestedFields('metadata')
  metadata?.check({ user_id: 'read' })
  const userId = metadata?.text('user_id', { maxLength: 512 }) ?? null
  const asked = readCallOptions(headers)
  const options: CallOptions = isStandardOnly && asked.tier === 'priority' ? { ...asked, tier: 'default' } : asked
  return userId === null ? options : { ...options, metadata: { ...options.metadata, user_id: userId } }
}
