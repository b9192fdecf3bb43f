/** An answer that comes as one JSON text: read when all of it is there. */
import type { GenerateEvent, JsonRecord, Usage } from '#contract/generate'
import { AnswerBuilder } from './answer-builder.ts'
import { parseRecord } from './json-fields.ts'
import type { AnswerDecoder } from './upstream-dialect.ts'
import { brokenAnswer } from './upstream-error.ts'

/** Says to the answer what the body says. Throws InferdError for what is an error or no answer. */
export type ReadWhole = (answer: AnswerBuilder, body: JsonRecord) => void

export class WholeAnswer implements AnswerDecoder {
  private readonly model: string
  private readonly read: ReadWhole
  private readonly answer: AnswerBuilder
  private readonly chunks: Uint8Array[] = []

  constructor(model: string, numChoices: number, read: ReadWhole) {
    this.model = model
    this.read = read
    this.answer = new AnswerBuilder(model, numChoices)
  }

  get usageSoFar(): Usage {
    return this.answer.usageSoFar
  }

  get toldUsage(): Usage | null {
    return this.answer.toldUsage
  }

  /** Half of an answer is none. */
  drain(): readonly GenerateEvent[] {
    return []
  }

  push(bytes: Uint8Array): readonly GenerateEvent[] {
    this.chunks.push(bytes)
    return []
  }

  end(): readonly GenerateEvent[] {
    const body = parseRecord(Buffer.concat(this.chunks).toString('utf8'))
    if (body === null) throw brokenAnswer(this.model)
    this.read(this.answer, body)
    this.answer.finish()
    return this.answer.drain()
  }
}
