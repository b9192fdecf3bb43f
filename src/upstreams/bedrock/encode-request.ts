/** A neutral request in the words of Bedrock's Converse API. Source: the service model of bedrock-runtime, 2023-09-30. */
import type { ChatMessage, CountRequest, GenerateRequest, JsonRecord, JsonValue, ToolOptions } from '#contract/generate'
import { parseRecord } from '#upstreams/json-fields'
import { notOffered } from '#upstreams/upstream-error'

type Fields = Record<string, JsonValue>

/** Throws unsupported_parameter. */
export function encodeConverse(request: GenerateRequest, model: string): JsonRecord {
  refuseUnknown(request, model)
  const { sampling } = request
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
  if (input.kind !== 'messages') throw notOffered('input', model)
  if (input.templateVariables !== undefined && Object.keys(input.templateVariables).length > 0) throw notOffered('input.templateVariables', model)
  const system = input.messages.filter(({ role }) => role === 'system').flatMap((message) => [{ text: message.content }, ...cachePoint(message)])
  return {
    messages: mergeTurns(input.messages.filter(({ role }) => role !== 'system')),
    ...(system.length === 0 ? {} : { system }),
    ...(output.tools === null ? {} : { toolConfig: toolConfig(output.tools, model) }),
  }
}

function refuseUnknown({ sampling, output, ...request }: GenerateRequest, model: string): void {
  const { reasoning } = output
  const faults: readonly (readonly [string, boolean])[] = [
    ['sampling.temperature', sampling.temperature > 1],
    ['sampling.minP', sampling.minP !== 0],
    ['sampling.repetitionPenalty', sampling.repetitionPenalty !== 1],
    ['sampling.presencePenalty', sampling.presencePenalty !== 0],
    ['sampling.frequencyPenalty', sampling.frequencyPenalty !== 0],
    ['sampling.logitBias', sampling.logitBias.length > 0],
    ['sampling.seed', sampling.seed !== null],
    ['output.format', output.format.kind !== 'text'],
    ['output.reasoning', reasoning.budgetTokens !== null || reasoning.enabled === true],
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

function mergeTurns(messages: readonly ChatMessage[]): readonly JsonRecord[] {
  const turns: { role: 'user' | 'assistant'; content: JsonRecord[] }[] = []
  for (const message of messages) {
    const role = message.role === 'assistant' ? 'assistant' : 'user'
    const blocks = [...blocksOf(message), ...cachePoint(message)]
    const last = turns.at(-1)
    if (last?.role === role) last.content.push(...blocks)
    else if (blocks.length > 0) turns.push({ role, content: blocks })
  }
  return turns
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
