/** Leaves out as few turns as it takes to fit, found by bisection: a count is a whole rendering of the prompt. */
import type { TruncationStrategy } from '#contract/call'
import type { ChatMessage } from '#contract/generate'
import { dropOrder, withoutTurns } from './turns.ts'

export interface FitArguments {
  readonly messages: readonly ChatMessage[]
  readonly strategy: TruncationStrategy
  /** Most tokens of the prompt. */
  readonly maxPromptTokens: number
  /** Of the prompt that these messages make; fewer turns never count more. */
  readonly countTokens: (messages: readonly ChatMessage[]) => Promise<number>
}

export interface FittedMessages {
  readonly messages: readonly ChatMessage[]
  readonly numDroppedMessages: number
  readonly promptTokensBefore: number
  /** Above `maxPromptTokens` when even what must stay does not fit. */
  readonly promptTokensAfter: number
}

/** At most 2 + log2(turns) counts. */
export async function fitMessages({ messages, strategy, maxPromptTokens, countTokens }: FitArguments): Promise<FittedMessages> {
  const promptTokensBefore = await countTokens(messages)
  const order = dropOrder(messages, strategy)
  if (promptTokensBefore <= maxPromptTokens || order.length === 0) {
    return { messages, numDroppedMessages: 0, promptTokensBefore, promptTokensAfter: promptTokensBefore }
  }
  const without = (numTurns: number): readonly ChatMessage[] => withoutTurns(messages, order.slice(0, numTurns))
  let numTurns = order.length
  let promptTokensAfter = await countTokens(without(numTurns))
  let tooFew = promptTokensAfter <= maxPromptTokens ? 0 : numTurns - 1
  while (numTurns - tooFew > 1) {
    const middle = Math.floor((tooFew + numTurns) / 2)
    const numTokens = await countTokens(without(middle))
    if (numTokens > maxPromptTokens) tooFew = middle
    else [numTurns, promptTokensAfter] = [middle, numTokens]
  }
  const fitted = without(numTurns)
  return { messages: fitted, numDroppedMessages: messages.length - fitted.length, promptTokensBefore, promptTokensAfter }
}
