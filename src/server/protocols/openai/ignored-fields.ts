/**
 * Fields that OpenAI documents and that cannot change an answer here: labels of the caller, or features whose neutral value is
 * the only one offered. A value with a meaning of its own is refused, never dropped.
 */
import { type FieldRules, isJsonObject } from '#server/fields'

const isText = (value: unknown): boolean => typeof value === 'string' && value.length <= 1024

/** OpenAI: up to 16 pairs, keys of 64 and values of 512 characters. */
function isMetadata(value: unknown): boolean {
  if (!isJsonObject(value)) return false
  const entries = Object.entries(value)
  return entries.length <= 16 && entries.every(([key, text]) => key.length <= 64 && typeof text === 'string' && text.length <= 512)
}

/** For every operation. */
export const LABEL_RULES = { user: isText } as const satisfies FieldRules

/** For chat. */
export const CHAT_NEUTRAL_RULES = {
  ...LABEL_RULES,
  metadata: isMetadata,
  safety_identifier: isText,
  prompt_cache_key: isText,
  prompt_cache_retention: (value) => value === 'in_memory' || value === 'in-memory',
  store: (value) => value === false,
  service_tier: (value) => value === 'auto' || value === 'default',
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
  verbosity: (value) => value === 'medium',
  audio: () => false,
  prediction: () => false,
  web_search_options: () => false,
  moderation: () => false,
  prompt_cache_options: () => false,
} as const satisfies FieldRules
