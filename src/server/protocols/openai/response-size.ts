/** Refuses answers with logprobs that are too large to be held whole: the one part of an answer that grows past the context. */
import type { DecodeContext } from '#server/operation'
import { invalid } from '#server/fields'

export interface LogprobDemand {
  /** Of all prompts of the call. */
  readonly numChoices: number
  /** null = to the end of the context. */
  readonly maxTokens: number | null
  readonly numTopLogprobs: number | null
  readonly stream: boolean
  /** The field to name. */
  readonly param: string
}

/** Throws invalid_parameter with the limit and the factors. A stream is never held, so it has no such limit. */
export function checkLogprobEntries({ numChoices, maxTokens, numTopLogprobs, stream, param }: LogprobDemand, { facts, limits }: DecodeContext): void {
  if (numTopLogprobs === null || stream) return
  const numTokens = Math.min(maxTokens ?? facts.contextLength, facts.contextLength)
  const numEntries = numChoices * numTokens * (1 + numTopLogprobs)
  if (numEntries <= limits.maxLogprobEntries) return
  const given = `${numChoices} x ${numTokens} x (1 + ${numTopLogprobs}) = ${numEntries}`
  const limit = `choices x output tokens x (1 + ${param}) must be at most ${limits.maxLogprobEntries} in an answer that is not streamed`
  throw invalid(param, `${limit}, got ${given}${maxTokens === null ? '; without an output limit the context counts' : ''}`)
}
