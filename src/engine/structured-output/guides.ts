/** The guides of a request's choices. */
import type { LoadedGrammar } from '#engine/grammar/token-matcher'
import type { TokenGuide } from '#engine/scheduler/token-guide'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import { GrammarGuide } from './grammar-guide.ts'
import type { OutputPlan } from './plan-output.ts'
import { ReasoningGuide } from './reasoning-guide.ts'

export interface GuideParts {
  /** Of the plan's specification; null where it has none. */
  readonly grammar: LoadedGrammar | null
  readonly tokenizer: Tokenizer
  readonly numChoices: number
}

/** One guide per choice; null = nothing steers them. */
export function guidesOf(plan: OutputPlan, { grammar, tokenizer, numChoices }: GuideParts): readonly TokenGuide[] | null {
  const { reasoningBudget } = plan
  if (grammar === null && reasoningBudget === null) return null
  return Array.from({ length: numChoices }, () => {
    const inner = grammar === null ? null : new GrammarGuide(grammar.createMatcher(), tokenizer)
    return reasoningBudget === null ? inner! : new ReasoningGuide({ ...reasoningBudget, tokenizer, inner })
  })
}
