/**
 * JSON Schema's `pattern`. Look-ahead at the very start of an anchored pattern is decided here, since it only intersects two languages:
 * `^(?!a)(?=b)c` is: found `^c`, found `^(?:b)`, not found `^(?:a)`. Schema libraries write e-mail addresses so.
 */
import { complement, intersect } from '../char-algebra.ts'
import type { CharBudget } from '../char-algebra-budget.ts'
import type { CharAutomaton } from '../char-automaton.ts'
import { type GrammarLimits, refuseGrammar } from '../grammar-limits.ts'
import { regexFoundIn, regexMatchingWhole } from '../regex/compile-regex.ts'

/** Look-aheads at the start of one pattern. */
const MAX_LOOK_AHEADS = 8

/** The texts in which the pattern is found. Throws InferdError. */
export function patternLanguage(
  pattern: string,
  where: { readonly limits: GrammarLimits; readonly budget: CharBudget; readonly place: string },
): CharAutomaton {
  const { limits, budget, place } = where
  const found = (source: string): CharAutomaton =>
    isAnchoredWhole(source) ? regexMatchingWhole(source.slice(1, -1), limits, budget) : regexFoundIn(source, limits, budget)
  let rest = pattern
  const conditions: CharAutomaton[] = []
  while (/^\^\(\?[!=]/.test(rest)) {
    const end = endOfGroup(rest, 1)
    // A choice behind the group would not be bound by it.
    if (end === null || conditions.length >= MAX_LOOK_AHEADS || hasOuterChoice(rest))
      throw refuseGrammar('look-ahead in `pattern` is not enforced here', place)
    const inner = found(`^(?:${rest.slice(4, end - 1)})`)
    conditions.push(rest[3] === '!' ? complement(inner) : inner)
    rest = `^${rest.slice(end)}`
  }
  return conditions.reduce((texts, condition) => intersect(texts, condition, budget), found(rest))
}

/** `^...$` around all of it: the cheaper automaton is the same. */
function isAnchoredWhole(pattern: string): boolean {
  if (!pattern.startsWith('^') || !pattern.endsWith('$') || pattern.length < 2 || hasOuterChoice(pattern)) return false
  return [...plainChars(pattern, 0)].at(-1)?.index === pattern.length - 1
}

/** The index behind the group that opens at `start`; null = it is not closed. */
function endOfGroup(pattern: string, start: number): number | null {
  let depth = 0
  for (const { index, char } of plainChars(pattern, start)) {
    if (char === '(') depth++
    if (char === ')' && --depth === 0) return index + 1
  }
  return null
}

function hasOuterChoice(pattern: string): boolean {
  let depth = 0
  for (const { char } of plainChars(pattern, 0)) {
    if (char === '(') depth++
    if (char === ')') depth--
    if (char === '|' && depth === 0) return true
  }
  return false
}

/** Characters outside of classes that are not escaped. */
function* plainChars(pattern: string, start: number): Generator<{ readonly index: number; readonly char: string }> {
  let isInClass = false
  for (let index = start; index < pattern.length; index++) {
    const char = pattern[index]!
    if (char === '\\') index++
    else if (isInClass) isInClass = char !== ']'
    else if (char === '[') isInClass = true
    else yield { index, char }
  }
}
