/** Usage as Anthropic counts it: `input_tokens` are those that were neither read from the cache nor written to it. */
import type { ServiceTier } from '#contract/call'
import type { Usage } from '#contract/generate'

/** As a message's delta has it. */
export interface WireUsage {
  readonly input_tokens: number
  readonly cache_creation_input_tokens: number
  readonly cache_read_input_tokens: number
  readonly output_tokens: number
  readonly output_tokens_details: { readonly thinking_tokens: number }
  /** Tools are always the caller's. */
  readonly server_tool_use: null
}

/** As a whole message has it. */
export interface WireMessageUsage extends WireUsage {
  /** Prefixes are kept as long as there is room: there is no breakdown by lifetime. */
  readonly cache_creation: null
  readonly inference_geo: null
  readonly service_tier: 'standard' | 'priority' | 'batch'
  readonly speed: null
}

export function encodeUsage({ promptTokens, cachedTokens, cacheWriteTokens, completionTokens, reasoningTokens }: Usage): WireUsage {
  return {
    input_tokens: promptTokens - cachedTokens - cacheWriteTokens,
    cache_creation_input_tokens: cacheWriteTokens,
    cache_read_input_tokens: cachedTokens,
    output_tokens: completionTokens,
    output_tokens_details: { thinking_tokens: reasoningTokens },
    server_tool_use: null,
  }
}

export function encodeMessageUsage(usage: Usage, tier: ServiceTier): WireMessageUsage {
  return { ...encodeUsage(usage), cache_creation: null, inference_geo: null, service_tier: encodeTier(tier), speed: null }
}

function encodeTier(tier: ServiceTier): WireMessageUsage['service_tier'] {
  switch (tier) {
    case 'reserved':
    case 'priority':
      return 'priority'
    case 'default':
      return 'standard'
    case 'flex':
      return 'batch'
  }
}
