/** The order in which one choice thought, spoke and called. */
import type { GenerateEvent, TokenLogprob } from '#contract/generate'
import type { ChoiceRun } from './generate-outcome.ts'

type TextEvent = Extract<GenerateEvent, { readonly type: 'text-delta' | 'reasoning-delta' }>
type OpenRun =
  | { readonly kind: 'reasoning'; text: string }
  | { readonly kind: 'text'; text: string; readonly logprobs: TokenLogprob[] }
  | { readonly kind: 'tool-call'; readonly toolCall: number }

export class ChoiceRuns {
  private readonly runs: OpenRun[] = []
  /** Of tokens without text before the next run of text. */
  private held: TokenLogprob[] = []

  addText({ type, text, logprobs }: TextEvent): void {
    const last = this.runs.at(-1)
    if (type === 'reasoning-delta') {
      if (text === '') return
      if (last?.kind === 'reasoning') last.text += text
      else this.runs.push({ kind: 'reasoning', text })
      return
    }
    if (last?.kind === 'text') {
      last.text += text
      if (logprobs !== null) last.logprobs.push(...logprobs)
      return
    }
    if (logprobs !== null) this.held.push(...logprobs)
    if (text === '') return
    this.runs.push({ kind: 'text', text, logprobs: this.held })
    this.held = []
  }

  addCall(toolCall: number): void {
    this.runs.push({ kind: 'tool-call', toolCall })
  }

  /** Whoever said nothing has said ''. */
  finish(): readonly ChoiceRun[] {
    return this.runs.length > 0 ? this.runs : [{ kind: 'text', text: '', logprobs: this.held }]
  }
}
