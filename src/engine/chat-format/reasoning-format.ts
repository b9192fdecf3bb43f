/** Which marks a model puts around what it thinks before it answers. */
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
