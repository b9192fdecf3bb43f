/** What is known of models from their files, asked for one model after the other: those that somebody waits for first. */
import type { EngineOptions, EnginePlan } from '#engine/engine'

/** Who reads the files: one question at a time. */
export type AskPlan = (engine: EngineOptions) => Promise<EnginePlan>

interface Question {
  readonly engine: EngineOptions
  readonly answer: PromiseWithResolvers<EnginePlan>
}

export class SurveyLine {
  private readonly ask: AskPlan
  /** By the caller's key; bounded by the models of the server. */
  private readonly waiting = new Map<string, Question>()
  private readonly urgent = new Set<string>()
  private asking: string | null = null
  private readonly asked = new Map<string, Question>()

  constructor(ask: AskPlan) {
    this.ask = ask
  }

  /** Questions with one key have one answer while it is looked for. Rejects as the asker. */
  plan(key: string, engine: EngineOptions, { isUrgent }: { readonly isUrgent: boolean }): Promise<EnginePlan> {
    let question = this.waiting.get(key) ?? this.asked.get(key)
    if (question === undefined) {
      question = { engine, answer: Promise.withResolvers<EnginePlan>() }
      this.waiting.set(key, question)
    }
    if (isUrgent && this.waiting.has(key)) this.urgent.add(key)
    if (this.asking === null) void this.work()
    return question.answer.promise
  }

  private async work(): Promise<void> {
    for (let key = this.next(); key !== null; key = this.next()) {
      const question = this.waiting.get(key)!
      this.asking = key
      this.waiting.delete(key)
      this.urgent.delete(key)
      this.asked.set(key, question)
      try {
        question.answer.resolve(await this.ask(question.engine))
      } catch (error) {
        question.answer.reject(error)
      }
      this.asked.delete(key)
    }
    this.asking = null
  }

  private next(): string | null {
    for (const key of this.urgent) return key
    for (const key of this.waiting.keys()) return key
    return null
  }
}
