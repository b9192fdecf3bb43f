/** The streamed answer of Bedrock's ConverseStream. */
import type { GenerateEvent, JsonRecord, Usage } from '#contract/generate'
import { AnswerBuilder } from '#upstreams/answer-builder'
import { FrameReader, type EventFrame } from '#upstreams/frame-reader'
import { asRecord, asText, parseRecord } from '#upstreams/json-fields'
import type { AnswerDecoder } from '#upstreams/upstream-dialect'
import { brokenAnswer, streamError } from '#upstreams/upstream-error'
import { endAnswer, readUsage } from './read-answer.ts'

export class BedrockStream implements AnswerDecoder {
  private readonly model: string
  private readonly reader = new FrameReader()
  private readonly answer: AnswerBuilder

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
    for (const frame of this.reader.push(bytes)) this.readFrame(frame)
    return this.answer.drain()
  }

  end(): readonly GenerateEvent[] {
    if (!this.reader.isWhole) throw brokenAnswer(this.model)
    this.answer.finish()
    return this.answer.drain()
  }

  private readFrame({ headers, payload }: EventFrame): void {
    const fields = parseRecord(new TextDecoder().decode(payload))
    if (headers.get(':message-type') !== 'event') {
      const type = headers.get(':exception-type') ?? headers.get(':error-code') ?? ''
      throw streamError(this.model, type, asText(fields?.['message']) ?? headers.get(':error-message') ?? '')
    }
    if (fields === null) throw brokenAnswer(this.model)
    this.readEvent(headers.get(':event-type') ?? '', fields)
  }

  private readEvent(type: string, fields: JsonRecord): void {
    switch (type) {
      case 'messageStart':
        return this.answer.start(0, 0)
      case 'contentBlockStart': {
        const call = asRecord(asRecord(fields['start'])?.['toolUse'])
        if (call !== null) this.answer.startCall(0, asText(call['toolUseId']), asText(call['name']) ?? '')
        return
      }
      case 'contentBlockDelta': {
        const delta = asRecord(fields['delta'])
        this.answer.say('text-delta', 0, asText(delta?.['text']) ?? '')
        this.answer.say('reasoning-delta', 0, asText(asRecord(delta?.['reasoningContent'])?.['text']) ?? '')
        return this.answer.argue(0, asText(asRecord(delta?.['toolUse'])?.['input']) ?? '')
      }
      case 'contentBlockStop':
        return this.answer.endCall(0)
      case 'messageStop':
        return endAnswer(this.answer, fields)
      case 'metadata':
        return this.answer.setUsage(readUsage(asRecord(fields['usage']) ?? {}))
    }
  }
}
