/** The streamed answer of Anthropic's Messages API. */
import type { GenerateEvent, JsonRecord, Usage } from '#contract/generate'
import { AnswerBuilder } from '#upstreams/answer-builder'
import { asRecord, asText, parseRecord } from '#upstreams/json-fields'
import { SseReader } from '#upstreams/sse-reader'
import type { AnswerDecoder } from '#upstreams/upstream-dialect'
import { brokenAnswer, streamError } from '#upstreams/upstream-error'
import { endMessage, readUsage, startBlock } from './read-message.ts'

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
        return startBlock(this.answer, asRecord(event['content_block']) ?? {})
      case 'content_block_delta':
        return this.readDelta(asRecord(event['delta']) ?? {})
      case 'content_block_stop':
        return this.answer.endCall(0)
      case 'message_delta': {
        const delta = asRecord(event['delta'])
        this.answer.setUsage(this.count(asRecord(event['usage'])))
        endMessage(this.answer, delta ?? {})
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

  private readDelta(delta: JsonRecord): void {
    if (delta['type'] === 'text_delta') this.answer.say('text-delta', 0, asText(delta['text']) ?? '')
    if (delta['type'] === 'thinking_delta') this.answer.say('reasoning-delta', 0, asText(delta['thinking']) ?? '')
    if (delta['type'] === 'input_json_delta') this.answer.argue(0, asText(delta['partial_json']) ?? '')
  }

  /** Counts are cumulative, and a later event may leave some out. */
  private count(given: JsonRecord | null): Usage {
    this.counts = { ...this.counts, ...given }
    return readUsage(this.counts)
  }
}
