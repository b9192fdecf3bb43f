/**
 * One choice on its way out. Its events wait in order until their text is decided; what is masked is shown masked, and once something
 * is blocked nothing follows but the guardrail's message and the end.
 */
import type { GenerateEvent, TokenLogprob } from '#contract/generate'
import type { PassageJudge } from './compiled-policy.ts'
import type { SpanRules } from './span-rules.ts'
import { TextGate } from './text-gate.ts'

type ChoiceEvent = Extract<GenerateEvent, { readonly choice: number }>
type DeltaEvent = Extract<ChoiceEvent, { readonly type: 'text-delta' | 'reasoning-delta' | 'tool-call-delta' }>

export interface ChoiceGateOptions {
  readonly choice: number
  readonly rules: SpanRules | null
  /** `aside`: of thoughts and of arguments, which sources need not support. */
  readonly judges: { readonly answer: PassageJudge | null; readonly aside: PassageJudge | null }
  readonly blockedMessage: string
  /** sync: nothing is shown before it is decided. async: all is shown at once, without masks, until something is blocked. */
  readonly streaming: 'sync' | 'async'
  /** Nobody sees anything before the end: then the message takes the place of all of it. */
  readonly isBuffered: boolean
  readonly signal: AbortSignal
}

interface Waiting {
  readonly event: ChoiceEvent
  /** null = no text of its own: it only keeps its place. */
  readonly gate: TextGate | null
  /** Where its text begins in the gate's. */
  start: number
  text: string
}

export class ChoiceGate {
  isEnded = false
  /** Ended by us, and not by the model. */
  isCut = false
  private readonly options: ChoiceGateOptions
  /** By `text`, `reasoning` and the number of the call. */
  private readonly gates = new Map<string | number, { readonly gate: TextGate; length: number }>()
  private waiting: Waiting[] = []
  private kept: ChoiceEvent[] = []
  private hasCall = false
  /** Of async streaming: judging goes on beside the text. */
  private background: Promise<void> = Promise.resolve()
  private backgroundError: unknown = null

  constructor(options: ChoiceGateOptions) {
    this.options = options
  }

  get findings(): TextGate['findings'] {
    return [...this.gates.values()].flatMap(({ gate }) => gate.findings)
  }

  get numJudged(): number {
    return [...this.gates.values()].reduce((sum, { gate }) => sum + gate.numJudged, 0)
  }

  /** What may be shown now. Nothing follows once `isEnded`. Rejects when a model that judges cannot be asked. */
  async push(event: ChoiceEvent): Promise<readonly ChoiceEvent[]> {
    if (this.isEnded) return []
    if (event.type === 'choice-end') return this.end(event)
    if (!isDelta(event)) this.waiting.push({ event, gate: null, start: 0, text: '' })
    else await this.judgeDelta(event)
    return this.isBlocked() ? this.block() : this.show(this.release())
  }

  private async judgeDelta(event: DeltaEvent): Promise<void> {
    const place = this.placeOf(event)
    const text = textOf(event)
    this.waiting.push({ event, gate: place.gate, start: place.length, text })
    place.length += text.length
    if (this.options.streaming === 'sync') return place.gate.push(text)
    this.inBackground(() => place.gate.push(text))
    // What needs no model is judged by now.
    await Promise.resolve()
    if (this.backgroundError !== null) throw this.backgroundError
  }

  private async end(event: ChoiceEvent): Promise<readonly ChoiceEvent[]> {
    for (const { gate } of this.gates.values()) {
      if (this.options.streaming === 'sync') await gate.finish()
      else this.inBackground(() => gate.finish())
      if (gate.isBlocked) break
    }
    await this.background
    if (this.backgroundError !== null) throw this.backgroundError
    if (this.isBlocked()) return this.block()
    const shown = [...this.kept, ...this.release({ isWhole: true }), event]
    this.isEnded = true
    return shown
  }

  private inBackground(work: () => Promise<void>): void {
    this.background = this.background.then(work).catch((error: unknown) => {
      this.backgroundError = error
    })
  }

  private isBlocked(): boolean {
    for (const { gate } of this.gates.values()) if (gate.isBlocked) return true
    return false
  }

  /** What was decided before the block, the message, the end. */
  private block(): readonly ChoiceEvent[] {
    const { choice, blockedMessage, streaming, isBuffered } = this.options
    const before = isBuffered || streaming === 'async' ? [] : this.release()
    this.isEnded = true
    this.isCut = true
    this.waiting = []
    this.kept = []
    // A message within the arguments of a call would be neither.
    const isInCall = this.hasCall && !isBuffered
    const message: ChoiceEvent[] = isInCall ? [] : [{ type: 'text-delta', choice, text: blockedMessage, logprobs: null }]
    return [...before, ...message, { type: 'choice-end', choice, finishReason: 'content-filter', stopString: null }]
  }

  private show(events: readonly ChoiceEvent[]): readonly ChoiceEvent[] {
    if (!this.options.isBuffered) return events
    this.kept.push(...events)
    return []
  }

  /** Takes from the head of the queue what is decided, a part of a delta if need be. */
  private release({ isWhole = false }: { readonly isWhole?: boolean } = {}): ChoiceEvent[] {
    const shown: ChoiceEvent[] = []
    const isAsync = this.options.streaming === 'async'
    let numTaken = 0
    for (const head of this.waiting) {
      const { event, gate, start, text } = head
      const decided = isAsync || isWhole || gate === null ? Infinity : gate.decided
      const end = start + text.length
      if (gate === null || isAsync) shown.push(event)
      else if (decided >= end) shown.push(...shownWhole(event, gate, head))
      else {
        if (decided > start && logprobsOf(event) === null) {
          const part = text.slice(0, decided - start)
          shown.push(...withText(event, gate.render(part, start)))
          head.start = decided
          head.text = text.slice(part.length)
        }
        break
      }
      gate?.forget(end)
      numTaken++
    }
    this.waiting.splice(0, numTaken)
    if (shown.some(({ type }) => type === 'tool-call-start')) this.hasCall = true
    return shown
  }

  private placeOf(event: DeltaEvent): { readonly gate: TextGate; length: number } {
    const key = event.type === 'tool-call-delta' ? event.toolCall : event.type
    let place = this.gates.get(key)
    if (place === undefined) {
      const { rules, judges, signal } = this.options
      const judge = event.type === 'text-delta' ? judges.answer : judges.aside
      place = { gate: new TextGate({ rules, judge, isJson: event.type === 'tool-call-delta', signal }), length: 0 }
      this.gates.set(key, place)
    }
    return place
  }
}

function isDelta(event: ChoiceEvent): event is DeltaEvent {
  return event.type === 'text-delta' || event.type === 'reasoning-delta' || event.type === 'tool-call-delta'
}

function textOf(event: DeltaEvent): string {
  return event.type === 'tool-call-delta' ? event.argumentsText : event.text
}

function logprobsOf(event: ChoiceEvent): readonly TokenLogprob[] | null {
  return event.type === 'text-delta' || event.type === 'reasoning-delta' ? event.logprobs : null
}

/** Log probabilities spell their tokens: they are shown only where the event's text is exactly theirs and all of it is shown. */
function shownWhole(event: ChoiceEvent, gate: TextGate, { start, text }: Waiting): ChoiceEvent[] {
  const logprobs = logprobsOf(event)
  if (logprobs === null) return withText(event, gate.render(text, start))
  const isExact = logprobs.map((token) => token.text).join('') === text && gate.isClear(start, start + text.length)
  return isExact ? [event] : withText(event, gate.render(text, start))
}

function withText(event: ChoiceEvent, text: string): ChoiceEvent[] {
  if (text === '') return []
  if (event.type === 'tool-call-delta') return [{ ...event, argumentsText: text }]
  if (event.type === 'text-delta' || event.type === 'reasoning-delta') return [{ ...event, text, logprobs: null }]
  return [event]
}
