/** A regular expression as a tree. Groups leave no node: they only order. Greedy and lazy mean the same language. */
import type { CharRanges } from '#engine/grammar/char-automaton'

export type RegexNode =
  | { readonly kind: 'chars'; readonly ranges: CharRanges }
  | { readonly kind: 'sequence'; readonly items: readonly RegexNode[] }
  | { readonly kind: 'choice'; readonly items: readonly RegexNode[] }
  /** `max` null = any number of times. */
  | { readonly kind: 'repeat'; readonly body: RegexNode; readonly min: number; readonly max: number | null }
  /** `^` and `$`: only where the text begins and ends. */
  | { readonly kind: 'text-start' }
  | { readonly kind: 'text-end' }
