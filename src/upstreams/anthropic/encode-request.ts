/** A neutral request in the words of Anthropic's Messages API. Source: the Anthropic API reference, 2023-06-01. */
import type { ChatMessage, CountRequest, GenerateRequest, JsonRecord, JsonValue, ToolOptions } from '#contract/generate'
import type { Delivery } from '#contract/served-model'
import { chatMessages, mergeTurns, refuseForeignFields } from '#upstreams/block-dialect'
import { parseRecord } from '#upstreams/json-fields'

type Fields = Record<string, JsonValue>

const SMALLEST_THINKING_BUDGET = 1024

export interface AnthropicTerms {
  readonly model: string
  readonly remoteModel: string
  readonly maxOutputTokens: number
}

/** Throws unsupported_parameter. */
export function encodeMessages(request: GenerateRequest, delivery: Delivery, terms: AnthropicTerms): JsonRecord {
  const { sampling, output } = request
  const { kind } = output.format
  refuseForeignFields(request, terms.model, [['output.format', kind !== 'text' && kind !== 'json-schema']])
  const { enabled, budgetTokens } = output.reasoning
  const isThinking = enabled === true || budgetTokens !== null
  return {
    ...encodePrompt(request, terms),
    ...(delivery === 'stream' ? { stream: true } : {}),
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
  const chat = chatMessages(input, model)
  const system = chat.filter(({ role }) => role === 'system').map((message) => textBlock(message.content, message))
  return {
    model: remoteModel,
    messages: mergeTurns(chat, blocksOf),
    ...(system.length === 0 ? {} : { system }),
    ...(output.tools === null ? {} : toolFields(output.tools)),
  }
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
