/** A neutral request in the words of Anthropic's Messages API. Source: the Anthropic API reference, 2023-06-01. */
import type { ChatMessage, CountRequest, GenerateRequest, JsonRecord, JsonValue, ToolOptions } from '#contract/generate'
import { parseRecord } from '#upstreams/json-fields'
import { notOffered } from '#upstreams/upstream-error'

type Fields = Record<string, JsonValue>

const SMALLEST_THINKING_BUDGET = 1024

export interface AnthropicTerms {
  readonly model: string
  readonly remoteModel: string
  readonly maxOutputTokens: number
}

/** Throws unsupported_parameter. */
export function encodeMessages(request: GenerateRequest, terms: AnthropicTerms): JsonRecord {
  refuseUnknown(request, terms.model)
  const { sampling, output } = request
  const { enabled, budgetTokens } = output.reasoning
  const isThinking = enabled === true || budgetTokens !== null
  return {
    ...encodePrompt(request, terms),
    stream: true,
    max_tokens: request.maxTokens ?? terms.maxOutputTokens,
    ...(sampling.temperature === 1 ? {} : { temperature: sampling.temperature }),
    ...(sampling.topP === 1 ? {} : { top_p: sampling.topP }),
    ...(sampling.topK === 0 ? {} : { top_k: sampling.topK }),
    ...(request.stopStrings.length === 0 ? {} : { stop_sequences: request.stopStrings }),
    ...(isThinking ? { thinking: { type: 'enabled', budget_tokens: budgetTokens ?? SMALLEST_THINKING_BUDGET } } : {}),
    ...(output.format.kind === 'json-schema' ? { output_config: { format: { type: 'json_schema', schema: output.format.schema } } } : {}),
  }
}

/** What is counted: model, system, messages and tools. */
export function encodePrompt({ input, output }: CountRequest, { model, remoteModel }: AnthropicTerms): JsonRecord {
  if (input.kind !== 'messages') throw notOffered('input', model)
  if (input.templateVariables !== undefined && Object.keys(input.templateVariables).length > 0) throw notOffered('input.templateVariables', model)
  const system = input.messages.filter(({ role }) => role === 'system').map((message) => textBlock(message.content, message))
  return {
    model: remoteModel,
    messages: mergeTurns(input.messages.filter(({ role }) => role !== 'system')),
    ...(system.length === 0 ? {} : { system }),
    ...(output.tools === null ? {} : toolFields(output.tools)),
  }
}

function refuseUnknown({ sampling, output, ...request }: GenerateRequest, model: string): void {
  const faults: readonly (readonly [string, boolean])[] = [
    ['sampling.temperature', sampling.temperature > 1],
    ['sampling.minP', sampling.minP !== 0],
    ['sampling.repetitionPenalty', sampling.repetitionPenalty !== 1],
    ['sampling.presencePenalty', sampling.presencePenalty !== 0],
    ['sampling.frequencyPenalty', sampling.frequencyPenalty !== 0],
    ['sampling.logitBias', sampling.logitBias.length > 0],
    ['sampling.seed', sampling.seed !== null],
    ['output.format', output.format.kind !== 'text' && output.format.kind !== 'json-schema'],
    ['numTopLogprobs', request.numTopLogprobs !== null],
    ['numChoices', request.numChoices !== 1],
    ['echo', request.echo],
    ['minTokens', request.minTokens > 0],
    ['ignoreEos', request.ignoreEos],
    ['stopTokenIds', request.stopTokenIds.length > 0],
    ['includeStopString', request.includeStopString],
  ]
  const fault = faults.find(([, isGiven]) => isGiven)
  if (fault !== undefined) throw notOffered(fault[0], model)
}

/** Turns of one side stand in one message; results of tools are the user's. */
function mergeTurns(messages: readonly ChatMessage[]): readonly JsonRecord[] {
  const turns: { role: 'user' | 'assistant'; content: JsonRecord[] }[] = []
  for (const message of messages) {
    const role = message.role === 'assistant' ? 'assistant' : 'user'
    const blocks = blocksOf(message)
    const last = turns.at(-1)
    if (last?.role === role) last.content.push(...blocks)
    else if (blocks.length > 0) turns.push({ role, content: [...blocks] })
  }
  return turns
}

/** Thinking of earlier turns has a signature of the upstream's that we do not hold: it is left out. */
function blocksOf(message: ChatMessage): readonly JsonRecord[] {
  if (message.role === 'tool') {
    return [{ type: 'tool_result', tool_use_id: message.toolCallId, content: message.content, ...cacheControl(message) }]
  }
  const text = message.content === '' ? [] : [textBlock(message.content, message)]
  if (message.role !== 'assistant') return text
  const calls = (message.toolCalls ?? []).map((call) => ({
    type: 'tool_use',
    id: call.id,
    name: call.name,
    input: parseRecord(call.arguments) ?? {},
  }))
  return [...text, ...calls]
}

function textBlock(text: string, message: ChatMessage): JsonRecord {
  return { type: 'text', text, ...cacheControl(message) }
}

function cacheControl({ cachePoint }: ChatMessage): Fields {
  return cachePoint === true ? { cache_control: { type: 'ephemeral' } } : {}
}

function toolFields({ definitions, choice, parallel }: ToolOptions): Fields {
  const type = choice === 'required' ? 'any' : choice
  const single = parallel || choice === 'none' ? {} : { disable_parallel_tool_use: true }
  return {
    tools: definitions.map(({ name, description, parameters, strict }) => ({
      name,
      ...(description === null ? {} : { description }),
      input_schema: parameters ?? { type: 'object' },
      ...(strict ? { strict: true } : {}),
    })),
    tool_choice: typeof type === 'string' ? { type, ...single } : { type: 'tool', name: type.name, ...single },
  }
}
