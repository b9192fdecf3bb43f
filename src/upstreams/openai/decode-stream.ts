/** The streamed answer of an OpenAI-compatible server, chat or completion. */
import type { GenerateEvent, GenerateRequest, Usage } from '#contract/generate'
import { AnswerBuilder } from '#upstreams/answer-builder'
import { parseRecord } from '#upstreams/json-fields'
import { SseReader } from '#upstreams/sse-reader'
import type { AnswerDecoder } from '#upstreams/upstream-dialect'
import { brokenAnswer } from '#upstreams/upstream-error'
import { ChunkReader } from './read-chunk.ts'

export class OpenAiStream implements AnswerDecoder {
  private readonly model: string
  private readonly reader = new SseReader()
  private readonly answer: AnswerBuilder
  private readonly chunks: ChunkReader
  private isDone = false

  constructor(model: string, { numChoices }: GenerateRequest) {
    this.model = model
    this.answer = new AnswerBuilder(model, numChoices)
    this.chunks = new ChunkReader(model, numChoices, this.answer)
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
    this.chunks.read(chunk)
  }
}
