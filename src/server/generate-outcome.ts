/**
 * A whole response folded from its events: what a protocol encodes when the caller did not ask for a stream.
 */
import { assert } from '#base/assert'
import { fromErrorRecord } from '#contract/errors'
import type { FinishReason, GenerateEvent, TokenLogprob, ToolCall, Usage } from '#contract/generate'
import { ChoiceRuns } from './choice-runs.ts'

export interface ChoiceOutcome {
  readonly text: string
  /** '' = none. */
  readonly reasoning: string
  /** In order. The arguments of the last one are a beginning when the choice was cut inside it. */
  readonly toolCalls: readonly ToolCall[]
  /** Of reasoning and text, in order; null when the request asked for none. */
  readonly logprobs: readonly TokenLogprob[] | null
  /** What was said and done, in order: all of it joined is `reasoning`, `text` and `toolCalls`. No two of one kind of text follow each other. */
  readonly runs: readonly ChoiceRun[]
  readonly finishReason: FinishReason
  /** The stop string that ended it; null = another reason. */
  readonly stopString: string | null
}

/** `logprobs` of text: [] when the request asked for none. Tokens without text belong to the text run that they are in or before. */
export type ChoiceRun =
  | { readonly kind: 'reasoning'; readonly text: string }
  | { readonly kind: 'text'; readonly text: string; readonly logprobs: readonly TokenLogprob[] }
  /** By index in `toolCalls`. */
  | { readonly kind: 'tool-call'; readonly toolCall: number }

export interface GenerateOutcome {
  /** In order of their index. */
  readonly choices: readonly ChoiceOutcome[]
  readonly usage: Usage
}

interface OpenCall {
  readonly id: string
  readonly name: string
  arguments: string
  isOpen: boolean
}

/** Of the calls at most the last one is open. */
interface OpenChoice {
  text: string
  reasoning: string
  readonly toolCalls: OpenCall[]
  readonly logprobs: TokenLogprob[] | null
  readonly runs: ChoiceRuns
  finishReason: FinishReason | null
  stopString: string | null
}

export class OutcomeCollector {
  private readonly choices: readonly OpenChoice[]
  private usage: Usage | null = null

  constructor({ numChoices, logprobs }: { readonly numChoices: number; readonly logprobs: boolean }) {
    this.choices = Array.from({ length: numChoices }, () => ({
      text: '',
      reasoning: '',
      toolCalls: [],
      logprobs: logprobs ? [] : null,
      runs: new ChoiceRuns(),
      finishReason: null,
      stopString: null,
    }))
  }

  /** Throws the event's InferdError when the response failed. */
  add(event: GenerateEvent): void {
    assert(this.usage === null, 'event after the end of a response')
    switch (event.type) {
      case 'response-start':
        return
      case 'text-delta':
      case 'reasoning-delta':
      case 'tool-call-start':
      case 'tool-call-delta':
      case 'tool-call-end':
      case 'choice-end':
        return addToChoice(this.choiceAt(event.choice), event)
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
    const choices = this.choices.map(({ text, reasoning, toolCalls, logprobs, runs, finishReason, stopString }) => {
      assert(finishReason !== null, 'response ended before one of its choices')
      const calls = toolCalls.map((call) => ({ id: call.id, name: call.name, arguments: call.arguments }))
      return { text, reasoning, toolCalls: calls, logprobs, runs: runs.finish(), finishReason, stopString }
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

function addToChoice(choice: OpenChoice, event: Extract<GenerateEvent, { readonly choice: number }>): void {
  const lastCall = choice.toolCalls.at(-1) ?? null
  switch (event.type) {
    case 'text-delta':
    case 'reasoning-delta':
      assert(event.text === '' || lastCall?.isOpen !== true, 'text inside a tool call')
      if (event.type === 'text-delta') choice.text += event.text
      else choice.reasoning += event.text
      choice.runs.addText(event)
      if (event.logprobs !== null) choice.logprobs?.push(...event.logprobs)
      return
    case 'tool-call-start':
      assert(lastCall?.isOpen !== true, 'a tool call inside another')
      assert(event.toolCall === choice.toolCalls.length, 'tool calls out of order')
      choice.runs.addCall(event.toolCall)
      choice.toolCalls.push({ id: event.id, name: event.name, arguments: '', isOpen: true })
      return
    case 'tool-call-delta':
      openCall(choice, event.toolCall).arguments += event.argumentsText
      return
    case 'tool-call-end':
      openCall(choice, event.toolCall).isOpen = false
      return
    case 'choice-end':
      assert(event.finishReason !== 'tool-calls' || lastCall?.isOpen === false, 'a choice that ended with tool calls has none, or an open one')
      choice.finishReason = event.finishReason
      choice.stopString = event.stopString
      return
  }
}

function openCall({ toolCalls }: OpenChoice, index: number): OpenCall {
  const call = toolCalls[index]
  assert(call?.isOpen === true, `event for tool call ${index}, which is not open`)
  return call
}
