/**
 * From an upstream's pieces to legal events, whatever order they come in: one start, calls that follow each other, one end of each
 * choice, one terminal event. What cannot be made legal throws upstream_failed.
 */
import { randomId } from '#base/random'
import { NO_USAGE, type FinishReason, type GenerateEvent, type Usage } from '#contract/generate'
import { brokenAnswer } from './upstream-error.ts'

interface ChoiceState {
  numCalls: number
  /** Id of the call that is open; null = none is. */
  openCall: string | null
  /** First half of a character whose second half comes with the next piece. */
  carry: string
  hasEnded: boolean
}

const CHARACTERS_PER_TOKEN = 4

export class AnswerBuilder {
  private readonly model: string
  private readonly choices: readonly ChoiceState[]
  private events: GenerateEvent[] = []
  private hasStarted = false
  private numCharacters = 0
  private usage: Usage | null = null
  private promptTokens = 0

  constructor(model: string, numChoices: number) {
    this.model = model
    this.choices = Array.from({ length: numChoices }, () => ({ numCalls: 0, openCall: null, carry: '', hasEnded: false }))
  }

  /** Takes the events that are ready. */
  drain(): readonly GenerateEvent[] {
    const { events } = this
    this.events = []
    return events
  }

  /** 0 where the upstream tells the prompt's tokens only at the end. */
  start(promptTokens: number, cachedTokens: number): void {
    if (this.hasStarted) return
    this.hasStarted = true
    this.promptTokens = promptTokens
    this.events.push({ type: 'response-start', promptTokens, cachedTokens })
  }

  say(type: 'text-delta' | 'reasoning-delta', choice: number, text: string): void {
    if (text === '') return
    const state = this.openChoice(choice)
    const all = state.carry + text
    const endsInHalf = /[\uD800-\uDBFF]$/.test(all)
    state.carry = endsInHalf ? all.slice(-1) : ''
    const whole = (endsInHalf ? all.slice(0, -1) : all).toWellFormed()
    if (whole === '') return
    this.endCall(choice)
    this.numCharacters += whole.length
    this.events.push({ type, choice, text: whole, logprobs: null })
  }

  startCall(choice: number, id: string | null, name: string): void {
    this.endCall(choice)
    const state = this.openChoice(choice)
    if (name === '' || name.length > 256) throw brokenAnswer(this.model)
    state.openCall = id === null || id === '' ? randomId('call_') : id
    this.events.push({ type: 'tool-call-start', choice, toolCall: state.numCalls++, id: state.openCall, name })
  }

  argue(choice: number, argumentsText: string): void {
    if (argumentsText === '') return
    const state = this.openChoice(choice)
    if (state.openCall === null) throw brokenAnswer(this.model)
    this.numCharacters += argumentsText.length
    this.events.push({ type: 'tool-call-delta', choice, toolCall: state.numCalls - 1, argumentsText })
  }

  openCallOf(choice: number): string | null {
    return this.openChoice(choice).openCall
  }

  numCallsOf(choice: number): number {
    return this.openChoice(choice).numCalls
  }

  endCall(choice: number): void {
    const state = this.openChoice(choice)
    if (state.openCall === null) return
    state.openCall = null
    this.events.push({ type: 'tool-call-end', choice, toolCall: state.numCalls - 1 })
  }

  /** A choice that was cut ends inside its open call. */
  endChoice(choice: number, finishReason: FinishReason, stopString: string | null): void {
    const state = this.openChoice(choice)
    if (finishReason !== 'length') this.endCall(choice)
    if (state.carry !== '') this.events.push({ type: 'text-delta', choice, text: '\uFFFD', logprobs: null })
    state.hasEnded = true
    const reason = finishReason === 'stop' && state.numCalls > 0 ? 'tool-calls' : finishReason
    this.events.push({ type: 'choice-end', choice, finishReason: reason, stopString })
  }

  hasEnded(choice: number): boolean {
    return this.choices[choice]?.hasEnded === true
  }

  setUsage(usage: Usage): void {
    this.usage = usage
  }

  /** After the upstream's own end. An upstream that gave no usage is charged by the length of its text. */
  finish(): void {
    if (!this.hasStarted || this.choices.some(({ hasEnded }) => !hasEnded)) throw brokenAnswer(this.model)
    this.events.push({ type: 'response-end', usage: this.usageSoFar })
  }

  get toldUsage(): Usage | null {
    return this.usage
  }

  get usageSoFar(): Usage {
    const completionTokens = Math.ceil(this.numCharacters / CHARACTERS_PER_TOKEN)
    return this.usage ?? { ...NO_USAGE, promptTokens: this.promptTokens, completionTokens }
  }

  private openChoice(choice: number): ChoiceState {
    const state = this.choices[choice]
    if (state === undefined || state.hasEnded || !this.hasStarted) throw brokenAnswer(this.model)
    return state
  }
}
