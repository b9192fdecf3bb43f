/** One chunk of an OpenAI-compatible server's answer, chat or completion; a whole answer is read as one chunk with all of it. */
import type { FinishReason, JsonRecord, JsonValue, Usage } from '#contract/generate'
import type { AnswerBuilder } from '#upstreams/answer-builder'
import { asCount, asList, asRecord, asText } from '#upstreams/json-fields'
import { brokenAnswer, refusalError, streamError } from '#upstreams/upstream-error'

const FINISH_REASONS: Readonly<Record<string, FinishReason>> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool-calls',
  function_call: 'tool-calls',
  content_filter: 'content-filter',
}

export class ChunkReader {
  private readonly model: string
  private readonly answer: AnswerBuilder
  /** By choice, the upstream's own index of the call that is open. */
  private readonly openIndex: (number | null)[]

  constructor(model: string, numChoices: number, answer: AnswerBuilder) {
    this.model = model
    this.answer = answer
    this.openIndex = Array.from({ length: numChoices }, () => null)
  }

  /** Throws InferdError for what is an error or no answer. */
  read(chunk: JsonRecord): void {
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
    if (choice === null || index >= this.openIndex.length) throw brokenAnswer(this.model)
    // A last piece with nothing in it comes after the end from some servers.
    if (this.answer.hasEnded(index)) return
    const said = asRecord(choice['delta']) ?? asRecord(choice['message'])
    this.answer.say('reasoning-delta', index, asText(said?.['reasoning_content']) ?? asText(said?.['reasoning']) ?? '')
    this.answer.say('text-delta', index, asText(said?.['content']) ?? asText(said?.['refusal']) ?? asText(choice['text']) ?? '')
    for (const call of asList(said?.['tool_calls'])) this.readCall(index, call)
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
