/** Leaves out as few turns as it takes to fit, found by bisection: a count is a whole rendering of the prompt. */
import type { TruncationStrategy } from '#contract/call'
import type { ChatMessage } from '#contract/generate'
import { dropOrder, withoutTurns } from './turns.ts'

export interface FitArguments {
  readonly messages: readonly ChatMessage[]
  readonly strategy: TruncationStrategy
  /** Most tokens of the prompt. */
  readonly maxPromptTokens: number
  /** Of the prompt that these messages make; fewer turns never count more. null = more than the context, certainly more than may be. */
  readonly countTokens: (messages: readonly ChatMessage[]) => Promise<number | null>
}

export interface FittedMessages {
  readonly messages: readonly ChatMessage[]
  readonly numDroppedMessages: number
  readonly promptTokensBefore: number | null
  /** null or above `maxPromptTokens` when even what must stay does not fit. */
  readonly promptTokensAfter: number | null
}

/** At most 2 + log2(turns) counts. */
export async function fitMessages({ messages, strategy, maxPromptTokens, countTokens }: FitArguments): Promise<FittedMessages> {
  const promptTokensBefore = await countTokens(messages)
  const order = dropOrder(messages, strategy)
  const fits = (numTokens: number | null): boolean => numTokens !== null && numTokens <= maxPromptTokens
  if (fits(promptTokensBefore) || order.length === 0) {
    return { messages, numDroppedMessages: 0, promptTokensBefore, promptTokensAfter: promptTokensBefore }
  }
  const without = (numTurns: number): readonly ChatMessage[] => withoutTurns(messages, order.slice(0, numTurns))
  let numTurns = order.length
  let promptTokensAfter = await countTokens(without(numTurns))
  let tooFew = fits(promptTokensAfter) ? 0 : numTurns - 1
  while (numTurns - tooFew > 1) {
    const middle = Math.floor((tooFew + numTurns) / 2)
    const numTokens = await countTokens(without(middle))
    if (fits(numTokens)) [numTurns, promptTokensAfter] = [middle, numTokens]
    else tooFew = middle
  }
  const fitted = without(numTurns)
  return { messages: fitted, numDroppedMessages: messages.length - fitted.length, promptTokensBefore, promptTokensAfter }
}
