/** The streamed answer of Anthropic's Messages API. */
import type { FinishReason, GenerateEvent, JsonRecord, Usage } from '#contract/generate'
import { AnswerBuilder } from '#upstreams/answer-builder'
import { asCount, asRecord, asText, parseRecord } from '#upstreams/json-fields'
import { SseReader } from '#upstreams/sse-reader'
import type { AnswerDecoder } from '#upstreams/upstream-dialect'
import { brokenAnswer, streamError } from '#upstreams/upstream-error'

const FINISH_REASONS: Readonly<Record<string, FinishReason>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  refusal: 'content-filter',
}

export class AnthropicStream implements AnswerDecoder {
  private readonly model: string
  private readonly reader = new SseReader()
  private readonly answer: AnswerBuilder
  private counts: JsonRecord = {}
  private isDone = false

  constructor(model: string) {
    this.model = model
    this.answer = new AnswerBuilder(model, 1)
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
      const event = parseRecord(data)
      if (event === null) throw brokenAnswer(this.model)
      if (!this.isDone) this.read(event)
    }
    return this.answer.drain()
  }

  end(): readonly GenerateEvent[] {
    this.answer.finish()
    return this.answer.drain()
  }

  private read(event: JsonRecord): void {
    switch (event['type']) {
      case 'message_start': {
        const { promptTokens, cachedTokens } = this.count(asRecord(asRecord(event['message'])?.['usage']))
        return this.answer.start(promptTokens, cachedTokens)
      }
      case 'content_block_start':
        return this.startBlock(asRecord(event['content_block']) ?? {})
      case 'content_block_delta':
        return this.readDelta(asRecord(event['delta']) ?? {})
      case 'content_block_stop':
        return this.answer.endCall(0)
      case 'message_delta': {
        const delta = asRecord(event['delta'])
        this.answer.setUsage(this.count(asRecord(event['usage'])))
        const reason = asText(delta?.['stop_reason'])
        if (reason !== null) this.answer.endChoice(0, FINISH_REASONS[reason] ?? 'stop', asText(delta?.['stop_sequence']))
        return
      }
      case 'message_stop':
        this.isDone = true
        return
      case 'error': {
        const error = asRecord(event['error'])
        throw streamError(this.model, asText(error?.['type']) ?? '', asText(error?.['message']) ?? '')
      }
    }
  }

  private startBlock(block: JsonRecord): void {
    if (block['type'] === 'tool_use') this.answer.startCall(0, asText(block['id']), asText(block['name']) ?? '')
    if (block['type'] === 'text') this.answer.say('text-delta', 0, asText(block['text']) ?? '')
    if (block['type'] === 'thinking') this.answer.say('reasoning-delta', 0, asText(block['thinking']) ?? '')
  }

  private readDelta(delta: JsonRecord): void {
    if (delta['type'] === 'text_delta') this.answer.say('text-delta', 0, asText(delta['text']) ?? '')
    if (delta['type'] === 'thinking_delta') this.answer.say('reasoning-delta', 0, asText(delta['thinking']) ?? '')
    if (delta['type'] === 'input_json_delta') this.answer.argue(0, asText(delta['partial_json']) ?? '')
  }

  /** Counts are cumulative, and a later event may leave some out. Anthropic counts cached and written tokens apart from the others. */
  private count(given: JsonRecord | null): Usage {
    this.counts = { ...this.counts, ...given }
    const of = (name: string): number => asCount(this.counts[name]) ?? 0
    const [cachedTokens, cacheWriteTokens] = [of('cache_read_input_tokens'), of('cache_creation_input_tokens')]
    const promptTokens = of('input_tokens') + cachedTokens + cacheWriteTokens
    const completionTokens = of('output_tokens')
    const details = asRecord(this.counts['output_tokens_details'])
    const reasoningTokens = Math.min(completionTokens, asCount(details?.['thinking_tokens']) ?? 0)
    return { promptTokens, cachedTokens, cacheWriteTokens, completionTokens, reasoningTokens }
  }
}
