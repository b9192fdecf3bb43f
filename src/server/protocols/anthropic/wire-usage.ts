/** Usage as Anthropic counts it: `input_tokens` are those that were neither read from the cache nor written to it. */
import type { ServiceTier } from '#contract/call'
import type { Usage } from '#contract/generate'

export interface WireUsage {
  readonly input_tokens: number
  readonly cache_creation_input_tokens: number
  readonly cache_read_input_tokens: number
  readonly output_tokens: number
  readonly output_tokens_details: { readonly thinking_tokens: number }
}

export function encodeUsage({ promptTokens, cachedTokens, cacheWriteTokens, completionTokens, reasoningTokens }: Usage): WireUsage {
  return {
    input_tokens: promptTokens - cachedTokens - cacheWriteTokens,
    cache_creation_input_tokens: cacheWriteTokens,
    cache_read_input_tokens: cachedTokens,
    output_tokens: completionTokens,
    output_tokens_details: { thinking_tokens: reasoningTokens },
  }
}

export function encodeTier(tier: ServiceTier): 'standard' | 'priority' | 'batch' {
  switch (tier) {
    case 'priority':
      return 'priority'
    case 'default':
      return 'standard'
    case 'flex':
      return 'batch'
  }
}
