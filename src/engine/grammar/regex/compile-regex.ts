/** Regular expressions as automata: guided text is matched as a whole, JSON Schema's `pattern` is searched for. */
import { ANY_TEXT, concatenate, fromChars, ONLY_EMPTY_TEXT, repeatAutomaton, unite } from '#engine/grammar/char-algebra'
import type { CharBudget } from '#engine/grammar/char-algebra-budget'
import type { CharAutomaton } from '#engine/grammar/char-automaton'
import { rangesOf } from '#engine/grammar/char-ranges'
import type { GrammarLimits } from '#engine/grammar/grammar-limits'
import { resolveAnchors, TEXT_END, TEXT_START } from './anchors.ts'
import { parseRegex } from './parse-regex.ts'
import type { RegexNode } from './regex-syntax.ts'

/** The texts that match from end to end. May be NO_TEXT: `a^`, `[]`. Throws InferdError. */
export function regexMatchingWhole(pattern: string, limits: GrammarLimits, budget: CharBudget): CharAutomaton {
  return resolveAnchors(automatonOf(parseRegex(pattern, limits, budget), budget), budget)
}

/** The texts with a match somewhere in them. May be NO_TEXT. Throws InferdError. */
export function regexFoundIn(pattern: string, limits: GrammarLimits, budget: CharBudget): CharAutomaton {
  const match = automatonOf(parseRegex(pattern, limits, budget), budget)
  // Once matched, anything may follow: what the pattern itself would go on with does not matter.
  const shortest = { edges: match.edges.map((edges, state) => (match.accepting[state]! ? [] : edges)), accepting: match.accepting }
  return resolveAnchors(concatenate([ANY_TEXT, shortest, ANY_TEXT], budget), budget)
}

/** Anchors are still marks in it. */
function automatonOf(node: RegexNode, budget: CharBudget): CharAutomaton {
  switch (node.kind) {
    case 'chars':
      return fromChars(node.ranges)
    case 'sequence':
      return concatenate(
        node.items.map((item) => automatonOf(item, budget)),
        budget,
      )
    case 'choice':
      return choiceAutomaton(node.items, budget)
    case 'repeat':
      return node.max === 0 ? ONLY_EMPTY_TEXT : repeatAutomaton(automatonOf(node.body, budget), node, budget)
    case 'text-start':
      return TEXT_START
    case 'text-end':
      return TEXT_END
  }
}

/** Branches of one code point are one set. */
function choiceAutomaton(items: readonly RegexNode[], budget: CharBudget): CharAutomaton {
  const pairs: number[] = []
  const others: CharAutomaton[] = []
  for (const item of items) {
    if (item.kind === 'chars') for (const point of item.ranges) pairs.push(point)
    else others.push(automatonOf(item, budget))
  }
  budget.spend(pairs.length)
  return pairs.length === 0 ? unite(others, budget) : unite([fromChars(rangesOf(pairs)), ...others], budget)
}
