/** A neutral request in the words of OpenAI-compatible servers. Source: the OpenAI API reference; vLLM's and SGLang's extra fields. */
import type { ChatMessage, EmbedRequest, GenerateRequest, JsonRecord, JsonValue, OutputFormat, ToolOptions } from '#contract/generate'
import type { Delivery } from '#contract/served-model'
import { notOffered } from '#upstreams/upstream-error'

export interface OpenAiTerms {
  readonly model: string
  readonly remoteModel: string
  /** Whether the server knows the fields of vLLM beyond OpenAI's: top_k, min_p, guided output, minimum lengths. */
  readonly hasExtensions: boolean
}

type Fields = Record<string, JsonValue>

export interface Generation {
  readonly path: string
  readonly body: JsonRecord
}

/** Throws unsupported_parameter. */
export function encodeGeneration(request: GenerateRequest, delivery: Delivery, terms: OpenAiTerms): Generation {
  refuseUnknown(request, terms)
  const { input, sampling } = request
  const body: Fields = {
    model: terms.remoteModel,
    ...(delivery === 'stream' ? { stream: true, stream_options: { include_usage: true } } : {}),
    temperature: sampling.temperature,
    top_p: sampling.topP,
    ...(sampling.presencePenalty === 0 ? {} : { presence_penalty: sampling.presencePenalty }),
    ...(sampling.frequencyPenalty === 0 ? {} : { frequency_penalty: sampling.frequencyPenalty }),
    ...(sampling.seed === null ? {} : { seed: sampling.seed }),
    ...(sampling.logitBias.length === 0
      ? {}
      : { logit_bias: Object.fromEntries(sampling.logitBias.map(({ tokenId, bias }) => [String(tokenId), bias])) }),
    ...(request.maxTokens === null ? {} : { max_tokens: request.maxTokens }),
    ...(request.stopStrings.length === 0 ? {} : { stop: request.stopStrings }),
    ...(request.numChoices === 1 ? {} : { n: request.numChoices }),
    ...(terms.hasExtensions ? extensionFields(request) : {}),
    ...formatFields(request.output.format, terms),
  }
  if (input.kind === 'text') return { path: 'completions', body: { ...body, prompt: input.text, ...(request.echo ? { echo: true } : {}) } }
  if (input.kind === 'tokens') return { path: 'completions', body: { ...body, prompt: input.tokenIds } }
  const { tools, reasoning } = request.output
  return {
    path: 'chat/completions',
    body: {
      ...body,
      messages: input.messages.map(encodeMessage),
      ...(tools === null ? {} : toolFields(tools)),
      ...(reasoning.effort === null ? {} : { reasoning_effort: reasoning.effort }),
      ...templateFields(request, terms),
    },
  }
}

/** Throws unsupported_parameter for messages. */
export function encodeEmbedding({ inputs }: EmbedRequest, { model, remoteModel }: OpenAiTerms): JsonRecord {
  const texts = inputs.map((input) => {
    if (input.kind === 'messages') throw notOffered('input', model)
    return input.kind === 'text' ? input.text : input.tokenIds
  })
  return { model: remoteModel, input: texts, encoding_format: 'float' }
}

function refuseUnknown(request: GenerateRequest, { model, hasExtensions }: OpenAiTerms): void {
  const { sampling, output } = request
  // Token ids of the logprobs are the engine's word, and no such server gives them.
  if (request.numTopLogprobs !== null) throw notOffered('numTopLogprobs', model)
  if (request.echo && request.input.kind !== 'text') throw notOffered('echo', model)
  if (output.reasoning.budgetTokens !== null) throw notOffered('output.reasoning', model)
  if (hasExtensions) return
  if (sampling.topK !== 0) throw notOffered('sampling.topK', model)
  if (sampling.minP !== 0) throw notOffered('sampling.minP', model)
  if (sampling.repetitionPenalty !== 1) throw notOffered('sampling.repetitionPenalty', model)
  if (request.minTokens > 0) throw notOffered('minTokens', model)
  if (request.ignoreEos) throw notOffered('ignoreEos', model)
  if (request.stopTokenIds.length > 0) throw notOffered('stopTokenIds', model)
  if (request.includeStopString) throw notOffered('includeStopString', model)
}

function extensionFields(request: GenerateRequest): Fields {
  const { sampling } = request
  return {
    ...(sampling.topK === 0 ? {} : { top_k: sampling.topK }),
    ...(sampling.minP === 0 ? {} : { min_p: sampling.minP }),
    ...(sampling.repetitionPenalty === 1 ? {} : { repetition_penalty: sampling.repetitionPenalty }),
    ...(request.minTokens === 0 ? {} : { min_tokens: request.minTokens }),
    ...(request.ignoreEos ? { ignore_eos: true } : {}),
    ...(request.stopTokenIds.length === 0 ? {} : { stop_token_ids: request.stopTokenIds }),
    ...(request.includeStopString ? { include_stop_str_in_output: true } : {}),
  }
}

function templateFields({ input, output }: GenerateRequest, { model, hasExtensions }: OpenAiTerms): Fields {
  const variables = input.kind === 'messages' ? input.templateVariables : undefined
  const { enabled } = output.reasoning
  if (!hasExtensions) {
    if (variables !== undefined && Object.keys(variables).length > 0) throw notOffered('input.templateVariables', model)
    return {}
  }
  const all = { ...variables, ...(enabled === null ? {} : { enable_thinking: enabled }) }
  return Object.keys(all).length === 0 ? {} : { chat_template_kwargs: all }
}

function formatFields(format: OutputFormat, { model, hasExtensions }: OpenAiTerms): Fields {
  switch (format.kind) {
    case 'text':
      return {}
    case 'json-object':
      return { response_format: { type: 'json_object' } }
    case 'json-schema':
      return { response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: format.schema, strict: true } } }
    case 'regex':
      if (!hasExtensions) throw notOffered('output.format', model)
      return { structured_outputs: { regex: format.pattern } }
    case 'grammar':
      if (!hasExtensions) throw notOffered('output.format', model)
      return { structured_outputs: { grammar: format.source } }
    case 'choice':
      if (!hasExtensions) throw notOffered('output.format', model)
      return { structured_outputs: { choice: format.choices } }
  }
}

function toolFields({ definitions, choice, parallel }: ToolOptions): Fields {
  return {
    tools: definitions.map(({ name, description, parameters, strict }) => ({
      type: 'function',
      function: {
        name,
        ...(description === null ? {} : { description }),
        ...(parameters === null ? {} : { parameters }),
        ...(strict ? { strict: true } : {}),
      },
    })),
    tool_choice: typeof choice === 'string' ? choice : { type: 'function', function: { name: choice.name } },
    ...(parallel ? {} : { parallel_tool_calls: false }),
  }
}

function encodeMessage(message: ChatMessage): JsonRecord {
  const name = message.name === undefined ? {} : { name: message.name }
  if (message.role === 'tool') return { role: 'tool', content: message.content, tool_call_id: message.toolCallId }
  if (message.role !== 'assistant') return { role: message.role, content: message.content, ...name }
  const calls = message.toolCalls ?? []
  return {
    role: 'assistant',
    content: message.content === '' && calls.length > 0 ? null : message.content,
    ...name,
    ...(message.reasoning === undefined ? {} : { reasoning_content: message.reasoning }),
    ...(calls.length === 0
      ? {}
      : { tool_calls: calls.map((call) => ({ id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments } })) }),
  }
}
