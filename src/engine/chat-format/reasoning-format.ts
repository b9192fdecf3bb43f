/** Which marks a model puts around what it thinks before it answers. */
import type { ChatTemplate } from './chat-template.ts'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'

export interface ReasoningFormat {
  readonly open: string
  readonly close: string
}

const FORMATS: readonly ReasoningFormat[] = [
  { open: '<think>', close: '</think>' },
  { open: '[THINK]', close: '[/THINK]' },
]

/** Null: a model that does not think aloud. Known by a mark in its template, or by both marks in its vocabulary. */
export function findReasoningFormat(templateSource: string, tokenizer: Tokenizer): ReasoningFormat | null {
  const written = FORMATS.find(({ open, close }) => templateSource.includes(open) || templateSource.includes(close))
  return written ?? FORMATS.find(({ open, close }) => tokenizer.tokenId(open) !== null && tokenizer.tokenId(close) !== null) ?? null
}

const PROBE = { messages: [{ role: 'user', content: 'Hi' }], addGenerationPrompt: true, bosToken: '', eosToken: '' } as const

/**
 * Whether the model thinks when nobody asks: a template with a switch that writes something else when it is on than when it is left alone
 * belongs to a model that thinks on demand, and marks that only the vocabulary knows are no habit. A grammar then leaves no room for reasoning that was not asked for.
 */
export function thinksUnasked(template: ChatTemplate, { open, close }: ReasoningFormat): boolean {
  if (!template.source.includes(open) && !template.source.includes(close)) return false
  if (!template.mentions('enable_thinking')) return true
  const prompt = (enabled: boolean | null): string => template.render({ ...PROBE, reasoning: { enabled, effort: null } })
  try {
    return prompt(null) === prompt(true)
  } catch {
    // It refuses the probe: nothing is known.
    return true
  }
}
