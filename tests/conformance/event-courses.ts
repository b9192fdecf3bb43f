/** Legal courses of events, for laws that hold for all of them. */
import fc from 'fast-check'
import type { FinishReason, GenerateEvent, TokenLogprob } from '#contract/generate'
import { fakeLogprob } from './fake-model.ts'

export interface Course {
  readonly numChoices: number
  readonly logprobs: boolean
  readonly events: readonly GenerateEvent[]
}

/** A piece of a choice: what it thinks, what it says, the head of its next call, or a part of the arguments of that call. */
interface Step {
  readonly kind: 'reasoning' | 'text' | 'call' | 'arguments' | 'call-end'
  readonly choice: number
  readonly text: string
}

const KINDS = { raw: ['reasoning', 'text'], chat: ['reasoning', 'text', 'call', 'arguments', 'call-end'] } as const

/** Pieces of all choices interleaved in any way; some carry only logprobs, some only text. Of a raw prompt the reasoning comes first. */
export function coursesOf(prompt: keyof typeof KINDS, maxChoices = 4): fc.Arbitrary<Course> {
  const step: fc.Arbitrary<Step> = fc.record({
    kind: fc.constantFrom(...KINDS[prompt]),
    choice: fc.nat({ max: 3 }),
    text: fc.string({ unit: 'binary', maxLength: 6 }),
  })
  return fc
    .record({
      numChoices: fc.integer({ min: 1, max: maxChoices }),
      logprobs: fc.boolean(),
      steps: fc.array(step, { maxLength: 40 }),
      reasons: fc.array(fc.constantFrom<FinishReason>('stop', 'length'), { minLength: 4, maxLength: 4 }),
      counts: fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(1000), fc.nat(1000), fc.nat(1000)),
    })
    .map(({ numChoices, logprobs, steps, reasons, counts }) => {
      const [cachedTokens, cacheWriteTokens, plainTokens, completionTokens, reasoningTokens] = counts
      const promptTokens = cachedTokens + cacheWriteTokens + plainTokens
      const ordered = prompt === 'raw' ? steps.toSorted((left, right) => Number(left.kind === 'text') - Number(right.kind === 'text')) : steps
      const choices = Array.from({ length: numChoices }, (_, choice) => new LegalChoice(choice, logprobs))
      const said = ordered.flatMap((one, position) => choices[one.choice % numChoices]?.eventsOf(one, position) ?? [])
      return {
        numChoices,
        logprobs,
        events: [
          { type: 'response-start', promptTokens, cachedTokens },
          ...said,
          ...choices.map((choice, index) => choice.end(reasons[index] ?? 'stop')),
          { type: 'response-end', usage: { promptTokens, cachedTokens, cacheWriteTokens, completionTokens, reasoningTokens } },
        ],
      }
    })
}

/** Turns steps into the events that the contract allows: no text and no other call inside a call, no arguments outside one. */
class LegalChoice {
  private readonly choice: number
  private readonly logprobs: boolean
  private numCalls = 0
  private isInCall = false

  constructor(choice: number, logprobs: boolean) {
    this.choice = choice
    this.logprobs = logprobs
  }

  eventsOf({ kind, text }: Step, position: number): GenerateEvent[] {
    const { choice } = this
    const toolCall = this.numCalls - 1
    switch (kind) {
      case 'reasoning':
      case 'text': {
        const logprobs = this.logprobs ? logprobsOf(text, position) : null
        return [...this.closeCall(), { type: kind === 'text' ? 'text-delta' : 'reasoning-delta', choice, text, logprobs }]
      }
      case 'call': {
        const closing = this.closeCall()
        this.isInCall = true
        this.numCalls++
        return [...closing, { type: 'tool-call-start', choice, toolCall: toolCall + 1, id: `id-${choice}-${toolCall + 1}`, name: `tool_${position}` }]
      }
      case 'arguments':
        return this.isInCall ? [{ type: 'tool-call-delta', choice, toolCall, argumentsText: text }] : []
      case 'call-end':
        return this.closeCall()
    }
  }

  /** A choice whose last call is open was cut. */
  end(reason: FinishReason): GenerateEvent {
    const finishReason = this.isInCall ? 'length' : this.numCalls > 0 && reason === 'stop' ? 'tool-calls' : reason
    return { type: 'choice-end', choice: this.choice, finishReason, stopString: null }
  }

  private closeCall(): GenerateEvent[] {
    if (!this.isInCall) return []
    this.isInCall = false
    return [{ type: 'tool-call-end', choice: this.choice, toolCall: this.numCalls - 1 }]
  }
}

function logprobsOf(text: string, position: number): TokenLogprob[] {
  return [fakeLogprob(text, position, position % 3)]
}
