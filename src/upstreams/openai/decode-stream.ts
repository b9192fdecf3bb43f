/** The streamed answer of an OpenAI-compatible server, chat or completion. */
import type { FinishReason, GenerateEvent, GenerateRequest, JsonRecord, JsonValue, Usage } from '#contract/generate'
import { AnswerBuilder } from '#upstreams/answer-builder'
import { asCount, asList, asRecord, asText, parseRecord } from '#upstreams/json-fields'
import { SseReader } from '#upstreams/sse-reader'
import type { AnswerDecoder } from '#upstreams/upstream-dialect'
import { brokenAnswer, refusalError, streamError } from '#upstreams/upstream-error'

const FINISH_REASONS: Readonly<Record<string, FinishReason>> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool-calls',
  function_call: 'tool-calls',
  content_filter: 'content-filter',
}

export class OpenAiStream implements AnswerDecoder {
  private readonly model: string
  private readonly numChoices: number
  private readonly reader = new SseReader()
  private readonly answer: AnswerBuilder
  /** By choice and the upstream's own index: the call that is open. */
  private readonly openIndex: (number | null)[]
  private isDone = false

  constructor(model: string, { numChoices }: GenerateRequest) {
    this.model = model
    this.numChoices = numChoices
    this.answer = new AnswerBuilder(model, numChoices)
    this.openIndex = Array.from({ length: numChoices }, () => null)
  }

  get usageSoFar(): Usage {
    return this.answer.usageSoFar
  }

  get toldUsage(): Usage | null {
    return this.answer.toldUsage
  }

  drain(): readonly GenerateEvent[] {
    return this.answer.drain()
  }

  push(bytes: Uint8Array): readonly GenerateEvent[] {
    for (const { data } of this.reader.push(bytes)) {
      if (this.isDone) break
      if (data.trim() === '[DONE]') this.isDone = true
      else this.readChunk(data)
    }
    return this.answer.drain()
  }

  /** Some servers leave [DONE] out; an answer whose choices have all ended is whole. */
  end(): readonly GenerateEvent[] {
    this.answer.finish()
    return this.answer.drain()
  }

  private readChunk(data: string): void {
    const chunk = parseRecord(data)
    if (chunk === null) throw brokenAnswer(this.model)
    const error = asRecord(chunk['error'])
    if (error !== null) throw errorOf(this.model, error)
    const usage = asRecord(chunk['usage'])
    if (usage !== null) this.answer.setUsage(readUsage(usage))
    this.answer.start(asCount(usage?.['prompt_tokens']) ?? 0, 0)
    for (const choice of asList(chunk['choices'])) this.readChoice(choice)
  }

  private readChoice(value: JsonValue): void {
    const choice = asRecord(value)
    const index = asCount(choice?.['index']) ?? 0
    if (choice === null || index >= this.numChoices) throw brokenAnswer(this.model)
    // A last piece with nothing in it comes after the end from some servers.
    if (this.answer.hasEnded(index)) return
    const delta = asRecord(choice['delta'])
    this.answer.say('reasoning-delta', index, asText(delta?.['reasoning_content']) ?? asText(delta?.['reasoning']) ?? '')
    this.answer.say('text-delta', index, asText(delta?.['content']) ?? asText(delta?.['refusal']) ?? asText(choice['text']) ?? '')
    for (const call of asList(delta?.['tool_calls'])) this.readCall(index, call)
    const finish = asText(choice['finish_reason'])
    if (finish !== null) this.answer.endChoice(index, FINISH_REASONS[finish] ?? 'stop', asText(choice['stop_reason']))
  }

  /** A new index, or a new id under the old one (Ollama), begins a call. */
  private readCall(choice: number, value: JsonValue): void {
    const call = asRecord(value)
    const fields = asRecord(call?.['function'])
    if (call === null || fields === null) throw brokenAnswer(this.model)
    const index = asCount(call['index']) ?? this.answer.numCallsOf(choice)
    const id = asText(call['id'])
    const open = this.answer.openCallOf(choice)
    const name = asText(fields['name']) ?? ''
    const isNew = open === null || this.openIndex[choice] !== index || (id !== null && id !== '' && id !== open && name !== '')
    if (isNew) this.answer.startCall(choice, id, name)
    this.openIndex[choice] = index
    const given = fields['arguments']
    this.answer.argue(choice, typeof given === 'string' ? given : given === undefined || given === null ? '' : JSON.stringify(given))
  }
}

function readUsage(usage: JsonRecord): Usage {
  const promptTokens = asCount(usage['prompt_tokens']) ?? 0
  const completionTokens = asCount(usage['completion_tokens']) ?? 0
  const prompt = asRecord(usage['prompt_tokens_details'])
  const cachedTokens = Math.min(promptTokens, asCount(prompt?.['cached_tokens']) ?? 0)
  return {
    promptTokens,
    completionTokens,
    cachedTokens,
    cacheWriteTokens: Math.min(promptTokens - cachedTokens, asCount(prompt?.['cache_write_tokens']) ?? 0),
    reasoningTokens: Math.min(completionTokens, asCount(asRecord(usage['completion_tokens_details'])?.['reasoning_tokens']) ?? 0),
  }
}

function errorOf(model: string, error: JsonRecord): Error {
  const text = asText(error['message']) ?? ''
  const status = asCount(error['code']) ?? asCount(error['status'])
  if (status !== null) return refusalError(model, { status, retryAfter: null, text })
  return streamError(model, asText(error['type']) ?? asText(error['code']) ?? '', text)
}
