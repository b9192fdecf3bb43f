/**
 * A whole response folded from its events: what a protocol encodes when the caller did not ask for a stream.
 */
import { assert } from '#base/assert'
import { fromErrorRecord } from '#contract/errors'
import type { FinishReason, GenerateEvent, TokenLogprob, Usage } from '#contract/generate'

export interface ChoiceOutcome {
  readonly text: string
  /** null when the request asked for none. */
  readonly logprobs: readonly TokenLogprob[] | null
  readonly finishReason: FinishReason
}

export interface GenerateOutcome {
  /** In order of their index. */
  readonly choices: readonly ChoiceOutcome[]
  readonly usage: Usage
}

interface OpenChoice {
  text: string
  logprobs: TokenLogprob[] | null
  finishReason: FinishReason | null
}

export class OutcomeCollector {
  private readonly choices: OpenChoice[]
  private usage: Usage | null = null

  constructor({ numChoices, logprobs }: { readonly numChoices: number; readonly logprobs: boolean }) {
    this.choices = Array.from({ length: numChoices }, () => ({ text: '', logprobs: logprobs ? [] : null, finishReason: null }))
  }

  /** Throws the event's InferdError when the response failed. */
  add(event: GenerateEvent): void {
    assert(this.usage === null, 'event after the end of a response')
    switch (event.type) {
      case 'response-start':
        return
      case 'text-delta': {
        const choice = this.choiceAt(event.choice)
        choice.text += event.text
        if (event.logprobs !== null) choice.logprobs?.push(...event.logprobs)
        return
      }
      case 'choice-end':
        this.choiceAt(event.choice).finishReason = event.finishReason
        return
      case 'response-end':
        this.usage = event.usage
        return
      case 'response-error':
        throw fromErrorRecord(event.error)
    }
  }

  /** Asserts that every choice and the response have ended. */
  finish(): GenerateOutcome {
    const { usage } = this
    assert(usage !== null, 'response without an end')
    const choices = this.choices.map(({ text, logprobs, finishReason }) => {
      assert(finishReason !== null, 'response ended before one of its choices')
      return { text, logprobs, finishReason }
    })
    return { choices, usage }
  }

  private choiceAt(index: number): OpenChoice {
    const choice = this.choices[index]
    assert(choice !== undefined, `event for choice ${index} of ${this.choices.length}`)
    assert(choice.finishReason === null, 'event after the end of a choice')
    return choice
  }
}
