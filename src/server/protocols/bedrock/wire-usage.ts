/** Usage as Bedrock counts it: `inputTokens` are those that were neither read from the cache nor written to it; the total has all. */
import type { TokenUsage } from '#contract/generate'

export interface WireUsage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly totalTokens: number
  readonly cacheReadInputTokens: number
  readonly cacheWriteInputTokens: number
}

export function encodeUsage(usage: TokenUsage & { readonly cacheWriteTokens?: number }): WireUsage {
  const { promptTokens, cachedTokens, cacheWriteTokens = 0, completionTokens } = usage
  return {
    inputTokens: promptTokens - cachedTokens - cacheWriteTokens,
    outputTokens: completionTokens,
    totalTokens: promptTokens + completionTokens,
    cacheReadInputTokens: cachedTokens,
    cacheWriteInputTokens: cacheWriteTokens,
  }
}
