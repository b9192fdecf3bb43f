/** A body of `POST /v1/responses` becomes a ResponsesCall, or an InferdError that names the field at fault. */
import { InferdError } from '#contract/errors'
import type { ChatMessage, JsonRecord, ReasoningOptions } from '#contract/generate'
import type { ResponseArchive } from '#contract/stored-response'
import type { DecodeContext, Incoming } from '#server/operation'
import { type FieldRules, Fields, invalid, unsupported } from '#server/fields'
import { OPTION_RULES, readMetadata, readOptionFields } from '#server/protocols/openai/call-options'
import { EFFORT_BUDGETS } from '#server/protocols/openai/chat/reasoning-fields'
import { isLabel } from '#server/protocols/openai/ignored-fields'
import { readModelName } from '#server/protocols/openai/model-field'
import { COMPLETION_WORDS, type OperationWords } from '#server/protocols/openai/places'
import { checkLogprobEntries } from '#server/protocols/openai/response-size'
import { readSharedFields, readStreamFields, readTokenLimit, SAMPLING_RULES } from '#server/protocols/openai/sampling-fields'
import { readInput } from './read-input.ts'
import { itemOf } from './stored-items.ts'
import { readTextFields } from './text-fields.ts'
import { readToolFields, TOOL_RULES } from './tool-fields.ts'
import type { ResponsesCall } from './wire-types.ts'

const RESPONSES_RULES: FieldRules = {
  ...SAMPLING_RULES,
  ...OPTION_RULES,
  ...TOOL_RULES,
  n: () => false,
  model: 'read',
  input: 'read',
  instructions: 'read',
  text: 'read',
  reasoning: 'read',
  max_output_tokens: 'read',
  max_tool_calls: 'read',
  top_logprobs: 'read',
  store: 'read',
  background: 'read',
  previous_response_id: 'read',
  include: 'read',
  user: 'read',
  safety_identifier: 'read',
  prompt_cache_key: 'read',
  prompt_cache_retention: (value) => value === 'in_memory' || value === 'in-memory',
  conversation: () => false,
  prompt: () => false,
  moderation: () => false,
  context_management: () => false,
  prompt_cache_options: () => false,
}

const WORDS: OperationWords = {
  ...COMPLETION_WORDS,
  promptPath: () => 'input',
  maxTokens: 'max_output_tokens',
  numTopLogprobs: 'top_logprobs',
  outputFormat: 'text.format',
  reasoning: 'reasoning',
}

const LOGPROBS = 'message.output_text.logprobs'
/** Those of tools and inputs that are refused elsewhere change nothing. */
const INCLUDABLE: readonly unknown[] = [
  LOGPROBS,
  'reasoning.encrypted_content',
  'file_search_call.results',
  'web_search_call.results',
  'web_search_call.action.sources',
  'message.input_image.image_url',
  'computer_call_output.output.image_url',
  'code_interpreter_call.outputs',
]
const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const
const MAX_ID_LENGTH = 256

export async function decodeResponsesRequest({ body, headers }: Incoming, context: DecodeContext): Promise<ResponsesCall> {
  const fields = new Fields(body)
  fields.check(RESPONSES_RULES)
  const { limits, responseId, principal, services } = context
  const maxTokens = readTokenLimit(fields, 'max_output_tokens')
  const { stream } = readStreamFields(fields)
  const shared = readSharedFields(fields, context, maxTokens)
  const numTopLogprobs = readLogprobs(fields, context)
  checkLogprobEntries({ numChoices: 1, maxTokens, numTopLogprobs, stream, param: 'top_logprobs' }, context)
  const options = readOptionFields(fields, headers)
  const kept = readKept(fields, services.responses)
  const tools = readToolFields(fields, limits)
  const text = readTextFields(fields)
  const { reasoning, summary } = readReasoning(fields)
  const instructions = fields.text('instructions')
  const history = await readHistory(kept, context)
  const resolveItem = (itemId: string, path: string): Promise<JsonRecord> => itemOf(services.responses, principal.team, itemId, path)
  const { messages: turn, items: inputItems } = await readInput(fields, { responseId, limits, history, resolveItem })
  const system: readonly ChatMessage[] = instructions === null || instructions === '' ? [] : [{ role: 'system', content: instructions }]
  return {
    responseId,
    createdSeconds: context.createdSeconds,
    model: readModelName(body),
    stream,
    options,
    hasSummary: summary !== null,
    echo: {
      ...kept.echo,
      ...readLabels(fields),
      instructions,
      max_output_tokens: maxTokens,
      max_tool_calls: fields.integer('max_tool_calls', { min: 1, max: 2 ** 31 - 1 }),
      parallel_tool_calls: tools.parallel,
      reasoning: { effort: reasoning.enabled === false ? 'none' : reasoning.effort, summary },
      temperature: shared.sampling.temperature,
      text: { format: text.echo, verbosity: 'medium' },
      tool_choice: tools.toolChoice,
      tools: tools.tools,
      top_logprobs: numTopLogprobs ?? 0,
      top_p: shared.sampling.topP,
      truncation: options.truncation === 'none' ? 'disabled' : 'auto',
    },
    words: WORDS,
    request: {
      requestId: responseId,
      input: { kind: 'messages', messages: [...system, ...history, ...turn] },
      ...shared,
      numChoices: 1,
      output: { format: text.format, tools: tools.options, reasoning },
      maxTokens,
      numTopLogprobs,
      echo: false,
    },
    inputItems,
    turn,
  }
}

function readLabels(fields: Fields): Pick<ResponsesCall['echo'], 'metadata' | 'user' | 'safety_identifier' | 'prompt_cache_key'> {
  for (const key of ['user', 'safety_identifier', 'prompt_cache_key']) {
    const value = fields.value(key)
    if (value !== undefined && !isLabel(value)) throw invalid(key, `${key} must be a string of at most 1024 characters`)
  }
  return {
    metadata: readMetadata(fields),
    user: fields.text('user'),
    safety_identifier: fields.text('safety_identifier'),
    prompt_cache_key: fields.text('prompt_cache_key'),
  }
}

/** null = no logprobs. */
function readLogprobs(fields: Fields, { limits }: DecodeContext): number | null {
  const included = fields.list('include', { maxItems: INCLUDABLE.length }) ?? []
  for (const [index, word] of included.entries()) {
    if (!INCLUDABLE.includes(word)) throw invalid(`include[${index}]`, `include[${index}] must be one of ${INCLUDABLE.join(', ')}`)
  }
  const numTop = fields.integer('top_logprobs', { min: 0, max: limits.maxTopLogprobs })
  if (included.includes(LOGPROBS)) return numTop ?? 0
  return numTop === null || numTop === 0 ? null : numTop
}

interface KeptFields {
  readonly archive: ResponseArchive | null
  readonly echo: Pick<ResponsesCall['echo'], 'store' | 'background' | 'previous_response_id'>
}

/** Without an archive nothing is kept, and what needs one is refused. */
function readKept(fields: Fields, archive: ResponseArchive | null): KeptFields {
  const wanted = fields.boolean('store')
  const background = fields.boolean('background') ?? false
  const previous = fields.text('previous_response_id', { minLength: 1, maxLength: MAX_ID_LENGTH })
  if (archive === null) {
    const field = wanted === true ? 'store' : background ? 'background' : previous === null ? null : 'previous_response_id'
    if (field !== null) throw unsupported(field, `${field}: this server keeps no responses`)
  }
  const store = archive !== null && (wanted ?? true)
  if (background && !store) throw invalid('background', 'background needs store: a response that is not kept can never be read')
  return { archive, echo: { store, background, previous_response_id: previous } }
}

async function readHistory({ archive, echo }: KeptFields, { principal, limits }: DecodeContext): Promise<readonly ChatMessage[]> {
  const param = 'previous_response_id'
  if (archive === null || echo.previous_response_id === null) return []
  const key = { team: principal.team, id: echo.previous_response_id }
  const previous = await archive.get(key)
  if (previous === null) throw new InferdError('resource_not_found', `${param}: there is no such response`, { param })
  if (previous.status !== 'completed' && previous.status !== 'incomplete') {
    throw invalid(param, `${param} names a response that has no answer: its status is ${previous.status}`)
  }
  try {
    return await archive.conversation(key, limits.maxMessages)
  } catch (cause) {
    if (!(cause instanceof InferdError)) throw cause
    throw new InferdError(cause.code, `${param}: ${cause.message}`, { param, cause })
  }
}

interface ReasoningFields {
  readonly reasoning: ReasoningOptions
  readonly summary: 'auto' | 'detailed' | null
}

/** The summary is the whole of the reasoning, so that a short one is not offered. */
function readReasoning(fields: Fields): ReasoningFields {
  const nested = fields.nestedFields('reasoning')
  if (nested === null) return { reasoning: { enabled: null, effort: null, budgetTokens: null }, summary: null }
  const isSummary = (value: unknown): boolean => value !== 'concise'
  nested.check({ effort: 'read', summary: isSummary, generate_summary: isSummary })
  const effort = nested.word('effort', EFFORTS)
  const summary = nested.word('summary', ['auto', 'detailed']) ?? nested.word('generate_summary', ['auto', 'detailed'])
  if (effort === 'none') return { reasoning: { enabled: false, effort: null, budgetTokens: 0 }, summary }
  const reasoning = effort === null ? { enabled: null, effort, budgetTokens: null } : { enabled: true, effort, budgetTokens: EFFORT_BUDGETS[effort] }
  return { reasoning, summary }
}
