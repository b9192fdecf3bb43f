/** A list of choices: the text is exactly one of them. */
import { CharBudget } from './char-algebra-budget.ts'
import { fromTexts } from './char-algebra-texts.ts'
import { type Expr, text } from './grammar.ts'
import { type GrammarLimits, refuseGrammar } from './grammar-limits.ts'

/** More are joined where they begin and end alike. */
const MAX_SPELLED_CHOICES = 32

/** Throws InferdError for an empty list, duplicates, and beyond the limits. */
export function choiceListExpr(choices: readonly string[], limits: GrammarLimits): Expr {
  if (choices.length === 0) throw refuseGrammar('the list of choices is empty')
  if (choices.length > limits.maxEnumValues) throw refuseGrammar(`there are more than ${limits.maxEnumValues} choices`)
  const seen = new Map<string, number>()
  let numBytes = 0
  choices.forEach((choice, index) => {
    const place = `at choice ${index + 1}`
    numBytes += Buffer.byteLength(choice)
    if (numBytes > limits.maxSourceBytes) throw refuseGrammar(`the choices have more than ${limits.maxSourceBytes} bytes`, place)
    if (!choice.isWellFormed()) throw refuseGrammar('a choice is not well-formed Unicode', place)
    const before = seen.get(choice)
    if (before !== undefined) throw refuseGrammar(`a choice is the same as choice ${before + 1}`, place)
    seen.set(choice, index)
  })
  if (choices.length <= MAX_SPELLED_CHOICES) return { kind: 'choice', items: choices.map(text) }
  // As many states as there are characters always suffice.
  return { kind: 'regular', automaton: fromTexts(choices, new CharBudget({ maxCharStates: limits.maxSourceBytes + 1 })) }
}
