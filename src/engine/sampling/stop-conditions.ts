/** When a choice ends by its tokens alone. Stop strings are a matter of text and live above. */
import type { FinishReason } from '#contract/generate'

export interface StopConditions {
  /** End-of-sequence tokens (unless ignored) and the request's stop tokens. */
  readonly stopTokenIds: ReadonlySet<number>
  /** At least 1: maxTokens and what the context leaves behind the prompt. */
  readonly maxOutputTokens: number
}

interface StopRequest {
  readonly eosTokenIds: readonly number[]
  readonly stopTokenIds: readonly number[]
  readonly ignoreEos: boolean
  readonly maxTokens: number | null
  /** Tokens that the context holds behind the prompt, and 1 behind a prompt that fills it. */
  readonly maxContextTokens: number
}

export function stopConditions(request: StopRequest): StopConditions {
  return {
    stopTokenIds: new Set(request.ignoreEos ? request.stopTokenIds : [...request.eosTokenIds, ...request.stopTokenIds]),
    maxOutputTokens: Math.min(request.maxTokens ?? request.maxContextTokens, request.maxContextTokens),
  }
}

/** Hot: per token. Why the choice ends with its numOutputTokens-th token, `tokenId`; null = it goes on. A stop token wins over the length. */
export function endReason(conditions: StopConditions, tokenId: number, numOutputTokens: number): FinishReason | null {
  if (conditions.stopTokenIds.has(tokenId)) return 'stop'
  return numOutputTokens >= conditions.maxOutputTokens ? 'length' : null
}
