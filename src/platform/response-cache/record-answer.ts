/** What of an answer may be kept: whole, and ended by the model itself or by the caller's own limit. */
import type { GenerateEvent } from '#contract/generate'

type TextDelta = Extract<GenerateEvent, { readonly type: 'text-delta' | 'reasoning-delta' }>

/** Invariant: `numCharacters` is that of `events`' texts; nothing is kept once it passed the cap. */
export class AnswerRecord {
  private readonly maxCharacters: number
  private events: GenerateEvent[] = []
  private numCharacters = 0
  private isUnfit = false
  private isWhole = false
  /** Whether a choice ended at the caller's own limit. */
  isCut = false

  constructor(maxCharacters: number) {
    this.maxCharacters = maxCharacters
  }

  /** Hot: per event. */
  add(event: GenerateEvent): void {
    if (this.isUnfit) return
    if (
      event.type === 'response-error' ||
      (event.type === 'choice-end' && (event.finishReason === 'content-filter' || event.finishReason === 'degenerate'))
    )
      return this.drop()
    if (event.type === 'choice-end' && event.finishReason === 'length') this.isCut = true
    if (event.type === 'response-end') this.isWhole = true
    if (event.type === 'text-delta' || event.type === 'reasoning-delta') this.numCharacters += event.text.length + 64 * (event.logprobs?.length ?? 0)
    if (event.type === 'tool-call-delta') this.numCharacters += event.argumentsText.length
    if (this.numCharacters > this.maxCharacters) return this.drop()
    this.events.push(event)
  }

  /** null: not fit to be kept. Pieces that follow each other are one: fewer events say the same. */
  get answer(): readonly GenerateEvent[] | null {
    return this.isWhole && !this.isUnfit ? mergePieces(this.events) : null
  }

  private drop(): void {
    this.isUnfit = true
    this.events = []
  }
}

function mergePieces(events: readonly GenerateEvent[]): readonly GenerateEvent[] {
  const merged: GenerateEvent[] = []
  let texts: string[] = []
  const flush = (): void => {
    const last = merged.at(-1)
    if (texts.length > 1 && last !== undefined) merged[merged.length - 1] = { ...(last as TextDelta), text: texts.join('') }
    texts = []
  }
  for (const event of events) {
    const last = merged.at(-1)
    const isPlain = (event.type === 'text-delta' || event.type === 'reasoning-delta') && event.logprobs === null
    if (isPlain && texts.length > 0 && last?.type === event.type && last.choice === event.choice) {
      texts.push(event.text)
      continue
    }
    flush()
    merged.push(event)
    if (isPlain) texts = [event.text]
  }
  flush()
  return merged
}
