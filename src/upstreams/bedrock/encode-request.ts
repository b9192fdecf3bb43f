/** A neutral request in the words of Bedrock's Converse API. Source: the service model of bedrock-runtime, 2023-09-30. */
import type { ChatMessage, CountRequest, GenerateRequest, JsonRecord, JsonValue, ToolOptions } from '#contract/generate'
import { chatMessages, mergeTurns, refuseForeignFields } from '#upstreams/block-dialect'
import { parseRecord } from '#upstreams/json-fields'
import { notOffered } from '#upstreams/upstream-error'

type Fields = Record<string, JsonValue>

/** Throws unsupported_parameter. */
export function encodeConverse(request: GenerateRequest, model: string): JsonRecord {
  const { sampling, output } = request
  const { enabled, budgetTokens } = output.reasoning
  refuseForeignFields(request, model, [
    ['output.format', output.format.kind !== 'text'],
    ['output.reasoning', budgetTokens !== null || enabled === true],
  ])
  return {
    ...encodeConversation(request, model),
    inferenceConfig: {
      temperature: sampling.temperature,
      topP: sampling.topP,
      ...(request.maxTokens === null ? {} : { maxTokens: request.maxTokens }),
      ...(request.stopStrings.length === 0 ? {} : { stopSequences: request.stopStrings }),
    },
    ...(sampling.topK === 0 ? {} : { additionalModelRequestFields: { top_k: sampling.topK } }),
  }
}

/** What is counted. */
export function encodeConversation({ input, output }: CountRequest, model: string): JsonRecord {
  const chat = chatMessages(input, model)
  const system = chat.filter(({ role }) => role === 'system').flatMap((message) => [{ text: message.content }, ...cachePoint(message)])
  return {
    messages: mergeTurns(chat, (message) => [...blocksOf(message), ...cachePoint(message)]),
    ...(system.length === 0 ? {} : { system }),
    ...(output.tools === null ? {} : { toolConfig: toolConfig(output.tools, model) }),
  }
}

function blocksOf(message: ChatMessage): readonly JsonRecord[] {
  if (message.role === 'tool') return [{ toolResult: { toolUseId: message.toolCallId, content: [{ text: message.content }] } }]
  const text = message.content === '' ? [] : [{ text: message.content }]
  if (message.role !== 'assistant') return text
  const calls = (message.toolCalls ?? []).map(({ id, name, arguments: given }) => ({
    toolUse: { toolUseId: id, name, input: parseRecord(given) ?? {} },
  }))
  return [...text, ...calls]
}

function cachePoint(message: ChatMessage): readonly JsonRecord[] {
  return message.cachePoint === true ? [{ cachePoint: { type: 'default' } }] : []
}

function toolConfig({ definitions, choice, parallel }: ToolOptions, model: string): Fields {
  if (choice === 'none' || !parallel) throw notOffered('output.tools', model)
  return {
    tools: definitions.map(({ name, description, parameters }) => ({
      toolSpec: { name, ...(description === null ? {} : { description }), inputSchema: { json: parameters ?? { type: 'object' } } },
    })),
    toolChoice: choice === 'auto' ? { auto: {} } : choice === 'required' ? { any: {} } : { tool: { name: choice.name } },
  }
}
