/**
 * Fields that OpenAI documents and that cannot change an answer here: labels of the caller, or features whose neutral value is
 * the only one offered. A value with a meaning of its own is refused, never dropped.
 */
import type { FieldRules } from '#server/fields'

/** A caller's own name for something. */
export const isLabel = (value: unknown): boolean => typeof value === 'string' && value.length <= 1024

/** For every operation. */
export const LABEL_RULES = { user: isLabel } as const satisfies FieldRules

/** For chat. */
export const CHAT_NEUTRAL_RULES = {
  ...LABEL_RULES,
  safety_identifier: isLabel,
  prompt_cache_key: isLabel,
  prompt_cache_retention: (value) => value === 'in_memory' || value === 'in-memory',
  store: (value) => value === false,
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
  verbosity: (value) => value === 'medium',
  audio: () => false,
  prediction: () => false,
  web_search_options: () => false,
  moderation: () => false,
  prompt_cache_options: () => false,
} as const satisfies FieldRules
